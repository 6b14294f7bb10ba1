"""How far one request has come, for whoever shows it: read when it is asked for, so that generating pays nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from parlant_local.engine.sequence import Sequence

__all__ = ["Standing", "Watch", "watching"]


@dataclass(frozen=True, slots=True)
class Standing:
    phase: Literal["waiting", "reading", "writing"]
    ahead: int = 0
    """Requests that start before it, while it waits."""
    read: int = 0
    """Prompt tokens that are computed, those of the prefix cache included."""
    prompt: int = 0
    reused: int = 0
    """Of ``read``, those that were computed before."""
    written: int = 0
    """Tokens of the answer so far."""


class Watch:
    """Of the request that runs in its context; of several choices, the last one that was submitted stands for all."""

    __slots__ = ("_ahead_of", "_choices", "_sequence")

    def __init__(self) -> None:
        self._sequence: Sequence | None = None
        self._choices: list[Sequence] = []
        self._ahead_of: Callable[[Sequence], int] | None = None

    def follow(self, sequence: Sequence, ahead_of: Callable[[Sequence], int]) -> None:
        self._sequence, self._ahead_of = sequence, ahead_of
        self._choices = [*(choice for choice in self._choices if not choice.finished), sequence]

    def end_thoughts(self) -> bool:
        """Has the model answer with what it has thought so far. False where it doesn't think, or no longer."""
        thinking = [choice for choice in self._choices if choice.thinking]
        for choice in thinking:
            choice.thoughts_wanted = False
        return bool(thinking)

    def standing(self) -> Standing | None:
        """None before the engine has the request."""
        sequence, ahead_of = self._sequence, self._ahead_of
        if sequence is None or ahead_of is None:
            return None
        size = int(sequence.prompt.size)
        if sequence.stage in ("new", "waiting"):
            return Standing("waiting", ahead=ahead_of(sequence), prompt=size)
        phase: Literal["reading", "writing"] = "writing" if sequence.clock.first_token else "reading"
        return Standing(
            phase, read=min(sequence.computed, size), prompt=size, reused=sequence.reused, written=sequence.size - size
        )


watching: ContextVar[Watch | None] = ContextVar("watching", default=None)
"""Whoever wants to watch a request puts a watch here before it is sent."""
