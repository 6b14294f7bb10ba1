"""One piece of work for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["SingleFlight"]

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Callers that come while ``work`` runs share its outcome, failure included: a dead peer costs a crowd one timeout, not
    one each. One that gives up leaves it to the others; the last one ends it, and waits for its end.

    ``keep``: a success is remembered, and nothing runs again. Each event loop has a flight of its own.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], *, keep: bool = False) -> None:
        self._work = work
        self._keep = keep
        self._flight: _Flight[T] | None = None
        self._kept: tuple[T] | None = None

    @property
    def running(self) -> bool:
        """Whether a call would join one under way."""
        return self._joinable() is not None

    async def __call__(self) -> T:
        if self._kept is not None:
            return self._kept[0]
        if (flight := self._joinable()) is None:
            flight = self._flight = _Flight(asyncio.ensure_future(self._work()))
        flight.waiting += 1
        try:
            found = await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                if self._flight is flight:
                    self._flight = None  # who comes now begins anew
                flight.task.cancel()
                await asyncio.wait([flight.task])
        if self._keep:
            self._kept = (found,)
        return found

    async def stop(self) -> None:
        """Ends what is under way in this loop, whoever waits for it."""
        if (flight := self._joinable()) is not None:
            self._flight = None
            flight.task.cancel()
            await asyncio.wait([flight.task])

    def _joinable(self) -> _Flight[T] | None:
        flight = self._flight
        if flight is None or flight.task.done() or flight.task.get_loop() is not asyncio.get_running_loop():
            return None
        return flight


class _Flight(Generic[T]):
    def __init__(self, task: asyncio.Future[T]) -> None:
        self.task = task
        self.waiting = 0
        task.add_done_callback(_seen)


def _seen(task: asyncio.Future[T]) -> None:
    """Every waiter may have gone; then a failure is nobody's news."""
    if not task.cancelled():
        task.exception()
