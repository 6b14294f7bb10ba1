"""Graceful shutdown: new requests are rejected, running ones may finish for a while, the rest are aborted with an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from parlant_local.server.problems import Problem

__all__ = ["SHUTTING_DOWN", "Drain"]

SHUTTING_DOWN = Problem(503, "The server is shutting down.", "shutting_down", retry_after=5)


class Drain:
    """Belongs to one event loop, on which every method is called. ``on_begin`` closes endless streams."""

    def __init__(self, on_begin: Callable[[], None] | None = None) -> None:
        self.begun = False
        self._on_begin = on_begin
        self.expired = asyncio.Event()
        """Set when running requests are to be aborted."""
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """Requests in progress."""
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
        """Rejects new requests and waits; True where all running ones finished."""
        self.begun = True
        if self._on_begin is not None:
            self._on_begin()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            self.expired.set()
            # An aborted request ends within one step of its engine.
            try:
                async with asyncio.timeout(10):
                    await self._idle.wait()
            except TimeoutError:
                return False
            return False
        return True
