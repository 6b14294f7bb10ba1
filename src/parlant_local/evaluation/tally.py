"""What each case cost: the counters of the service, told apart by the case that the calls were made for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from typing_extensions import override

from parlant_local.nlp.counters import Counters

__all__ = ["Cost", "CountersByCase", "counted"]

_CURRENT: ContextVar[Cost | None] = ContextVar("parlant_local_case", default=None)


@dataclass
class Cost:
    """Sums over the calls of one case."""

    calls: int = 0
    failed: int = 0
    """Calls without a valid answer."""
    retried: int = 0
    """Answers that were invalid or truncated, and asked for again."""
    rejected: int = 0
    """Valid answers that Parlant could not use."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    sampled_tokens: int = 0
    seconds: float = 0.0
    """From the customer's message to the end of the turn."""


class CountersByCase(Counters):
    """The tasks that a case's turn spawns inherit its context, so a call belongs to the case in whose context it is made."""

    @override
    def add(self, schema: str, **amounts: float) -> None:
        super().add(schema, **amounts)
        if (cost := _CURRENT.get()) is not None:
            for name, amount in amounts.items():
                if name != "seconds" and hasattr(cost, name):
                    setattr(cost, name, getattr(cost, name) + amount)

    @override
    def was_answered(self, schema: str, session: str | None, prompt: str) -> bool:
        known = super().was_answered(schema, session, prompt)
        if known and (cost := _CURRENT.get()) is not None:
            cost.rejected += 1
        return known


@contextmanager
def counted() -> Iterator[Cost]:
    """The cost of what is done inside."""
    cost, started = Cost(), time.monotonic()
    token = _CURRENT.set(cost)
    try:
        yield cost
    finally:
        _CURRENT.reset(token)
        cost.seconds = time.monotonic() - started
