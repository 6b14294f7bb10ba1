"""How the server ends: nothing new is taken in, what runs may finish for a while, the rest ends with an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from parlant_local.server.problems import Problem

__all__ = ["SHUTTING_DOWN", "Drain"]

SHUTTING_DOWN = Problem(503, "The server is shutting down.", "shutting_down", retry_after=5)


class Drain:
    """Belongs to one event loop, on which every method is called. ``on_begin`` ends what would never end by itself."""

    def __init__(self, on_begin: Callable[[], None] | None = None) -> None:
        self.begun = False
        self._on_begin = on_begin
        self.expired = asyncio.Event()
        """Set when what still runs must end now."""
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """Requests under way."""
        return self._running

    @contextmanager
    def request(self) -> Iterator[None]:
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def finish(self, seconds: float) -> bool:
        """Take nothing new in and wait; True where everything ended by itself."""
        self.begun = True
        if self._on_begin is not None:
            self._on_begin()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            self.expired.set()
            # What is told to end does so within a step of its engine.
            try:
                async with asyncio.timeout(10):
                    await self._idle.wait()
            except TimeoutError:
                return False
            return False
        return True
