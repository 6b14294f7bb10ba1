"""Single flight: concurrent callers share one execution."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["SingleFlight"]

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Callers that arrive while ``work`` runs share its outcome, failure included: a dead peer costs all of them one timeout
    together. A cancelled caller leaves the work to the others; the last one cancels it, and waits until it has ended.

    ``keep``: a success is cached, and the work does not run again. Each event loop has its own flight.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], *, keep: bool = False) -> None:
        self._work = work
        self._keep = keep
        self._flight: _Flight[T] | None = None
        self._kept: tuple[T] | None = None

    @property
    def running(self) -> bool:
        """Whether a call would join one in flight."""
        return self._joinable() is not None

    async def __call__(self) -> T:
        if self._kept is not None:
            return self._kept[0]
        if (flight := self._joinable()) is None:
            flight = self._flight = _Flight(asyncio.ensure_future(self._work()))
        flight.waiting += 1
        try:
            result = await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                if self._flight is flight:
                    self._flight = None  # later callers start a new flight
                flight.task.cancel()
                await asyncio.wait([flight.task])
        if self._keep:
            self._kept = (result,)
        return result

    async def stop(self) -> None:
        """Cancels the flight of this loop, even if callers wait for it."""
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
        task.add_done_callback(_mark_retrieved)


def _mark_retrieved(task: asyncio.Future[T]) -> None:
    """Marks the exception as retrieved, as there may be no waiter left."""
    if not task.cancelled():
        task.exception()
