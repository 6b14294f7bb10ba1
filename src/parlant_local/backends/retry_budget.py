"""How many requests of its own one attempt may add.

Some failures are retried below the call that counts attempts: a dropped connection by resending the request, an unknown
dialect by trying the next one. The caller that counts attempts sets the budget for such retries here, and reads afterwards
how many were used; without one, each retry keeps its own bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["RetryBudget", "acquire_retry", "use_retry_budget"]


@dataclass
class RetryBudget:
    limit: int
    """Retries allowed."""
    used: int = 0
    """Retries made."""


_present: ContextVar[RetryBudget | None] = ContextVar("retry_budget", default=None)


@contextmanager
def use_retry_budget(budget: RetryBudget | None) -> Iterator[None]:
    token = _present.set(budget)
    try:
        yield
    finally:
        _present.reset(token)


def acquire_retry() -> bool:
    """Takes one retry from the budget; false where none is left."""
    budget = _present.get()
    if budget is None:
        return True
    if budget.used >= budget.limit:
        return False
    budget.used += 1
    return True
