"""One piece of work for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["SharedCall"]

T = TypeVar("T")


class SharedCall(Generic[T]):
    """Callers that come while ``work`` runs share its outcome, failure included: a dead peer costs a crowd one timeout,
    not one each. One that gives up does not stop it for the others."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._running: asyncio.Future[T] | None = None

    async def __call__(self) -> T:
        running = self._running
        if running is None or running.done() or running.get_loop() is not asyncio.get_running_loop():
            running = self._running = asyncio.ensure_future(self._work())
            running.add_done_callback(_seen)
        return await asyncio.shield(running)

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None and not running.done() and running.get_loop() is asyncio.get_running_loop():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def _seen(future: asyncio.Future[T]) -> None:
    """Every waiter may have gone; then the failure is nobody's news."""
    if not future.cancelled():
        future.exception()
