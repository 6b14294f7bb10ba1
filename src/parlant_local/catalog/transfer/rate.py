"""A limit on bytes per second that several threads share."""

from __future__ import annotations

import time
from threading import Event, Lock

__all__ = ["RateLimit"]


class RateLimit:
    """``bytes_per_second`` of None: no limit."""

    def __init__(self, bytes_per_second: float | None) -> None:
        self._rate = bytes_per_second
        self._lock = Lock()
        self._free_at = 0.0

    def pay(self, count: int, stop: Event) -> None:
        """Wait until ``count`` more bytes are within the limit, or ``stop`` is set."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self._rate
            wait = self._free_at - now
        if wait > 0.001:
            stop.wait(wait)
