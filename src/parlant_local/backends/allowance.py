"""How many requests one attempt may send.

Some failures are mended below the call that sees them: a cut connection by sending the request once more, an unknown
dialect by trying the next one. Whoever counts a call's attempts says here how many such requests are left, and reads
afterwards how many were sent; alone, each mender keeps its own bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Allowance", "allowing", "may_send_another"]


@dataclass
class Allowance:
    more: int
    """Requests beyond the first."""
    sent: int = 0
    """Of those."""


_present: ContextVar[Allowance | None] = ContextVar("requests_of_an_attempt", default=None)


@contextmanager
def allowing(allowance: Allowance | None) -> Iterator[None]:
    token = _present.set(allowance)
    try:
        yield
    finally:
        _present.reset(token)


def may_send_another() -> bool:
    """Whether a request may be sent beside those that were; true counts as sent."""
    allowance = _present.get()
    if allowance is None:
        return True
    if allowance.sent >= allowance.more:
        return False
    allowance.sent += 1
    return True
