"""An answer's usage: tokens and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parlant_local.brief import Brief

__all__ = ["Timings", "Usage"]


@dataclass(frozen=True, slots=True, repr=False)
class Usage(Brief):
    """Tokens of one answer. ``cached_tokens`` are prompt tokens that were not computed again."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    def to_openai(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
        }


@dataclass(frozen=True, slots=True, repr=False)
class Timings(Brief):
    """How long one answer's phases took, in seconds, and how its tokens were produced."""

    queued: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    first_token: float = 0.0
    """From submission to the first token delivered."""
    constraint: float = 0.0
    """Spent computing masks and advancing the constraint."""
    prefilled_tokens: int = 0
    reused_tokens: int = 0
    forced_tokens: int = 0
    """Appended without sampling because the constraint allowed only one continuation."""
    sampled_tokens: int = 0
    from_cache: bool = False
    """The same call was answered before, and nothing was computed (``engine.outputs``)."""
