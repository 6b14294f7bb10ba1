"""Answers of llama-server's form."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from parlant_local.server.shapes.answers.common import answer

__all__ = ["INFILL", "Filled"]


@answer
class Filled(TypedDict):
    index: int
    content: str
    stop: bool
    """Whether this is all."""
    tokens_predicted: int
    tokens_evaluated: int
    model: NotRequired[str]
    generation_settings: NotRequired[dict[str, Any]]
    has_new_line: NotRequired[bool]
    truncated: NotRequired[bool]
    """Whether some of the context was left out to fit."""
    stop_type: NotRequired[str]
    """``eos``, ``word`` or ``limit``."""
    stopping_word: NotRequired[str]
    tokens_cached: NotRequired[int]
    timings: NotRequired[dict[str, float]]


# With ``response_fields`` any part of it, and a list with ``n_cmpl``.
INFILL: dict[str, Any] = {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}
