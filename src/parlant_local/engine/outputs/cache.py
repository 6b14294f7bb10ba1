"""Encoded results by key: in memory up to a limit, the longest unused dropped first, and on disk where that is wanted."""

from __future__ import annotations

import threading
from collections import OrderedDict

from parlant_local.engine.outputs.disk import OutputDisk

__all__ = ["OutputCache"]

_OVERHEAD = 256
"""Bytes of an entry besides its content: key, object headers, links."""


class OutputCache:
    """May be used from any thread; only a miss in memory reads the disk."""

    def __init__(self, budget: int, disk: OutputDisk | None = None) -> None:
        self._budget = budget
        self._disk = disk
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.size = 0
        """Bytes in memory."""
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> bytes | None:
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
        if found is None and self._disk is not None and (found := self._disk.read(key)) is not None:
            self._keep(key, found)
        with self._lock:
            if found is None:
                self.misses += 1
            else:
                self.hits += 1
        return found

    def put(self, key: str, data: bytes) -> None:
        self._keep(key, data)
        if self._disk is not None:
            self._disk.write(key, data)

    def drop(self, key: str) -> None:
        """Forgets what turned out to be unreadable; that was no hit."""
        with self._lock:
            self.size -= self._cost(self._entries.pop(key, None))
            self.hits, self.misses = self.hits - 1, self.misses + 1
        if self._disk is not None:
            self._disk.remove(key)

    def close(self) -> None:
        if self._disk is not None:
            self._disk.close()

    def _keep(self, key: str, data: bytes) -> None:
        cost = self._cost(data)
        if cost > self._budget:
            return
        with self._lock:
            self.size += cost - self._cost(self._entries.pop(key, None))
            self._entries[key] = data
            while self.size > self._budget:
                self.size -= self._cost(self._entries.popitem(last=False)[1])

    @staticmethod
    def _cost(data: bytes | None) -> int:
        return 0 if data is None else len(data) + _OVERHEAD
