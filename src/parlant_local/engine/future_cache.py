"""A cache of futures by key: concurrent callers share one computation. Bounded by count and size, LRU."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

__all__ = ["FutureCache"]

T = TypeVar("T")


class FutureCache(Generic[T]):
    """The lock guards the table, not the computation, so different keys don't block each other.

    ``cached_errors``: exceptions that depend on the key alone and are cached, too; any other removes the entry.
    """

    def __init__(self, count: int, size: int | None = None, *, cached_errors: type[Exception] | tuple[()] = ()) -> None:
        self._max_count = count
        self._max_size = math.inf if size is None else size
        self._cached_errors = cached_errors
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[Future[T], int]] = OrderedDict()
        self._used = 0

    def get(self, key: str, start: Callable[[Future[T]], None]) -> Future[T]:
        """The cached future of ``key``; else a new one, passed to ``start``, which arranges for its completion."""
        with self._lock:
            if (entry := self._entries.get(key)) is not None:
                self._entries.move_to_end(key)
                return entry[0]
            future: Future[T] = Future()
            self._entries[key] = (future, 0)
        try:
            start(future)
        except BaseException:
            self.remove(key, future)
            raise
        future.add_done_callback(lambda done: self._on_done(key, done))
        return future

    def set_size(self, key: str, size: int) -> None:
        """Sets the size of ``key``'s entry, and evicts the least recently used ones beyond the limits."""
        with self._lock:
            if key in self._entries:
                future, old = self._entries[key]
                self._entries[key] = (future, size)
                self._used += size - old
            while len(self._entries) > 1 and (len(self._entries) > self._max_count or self._used > self._max_size):
                self._used -= self._entries.popitem(last=False)[1][1]

    def _on_done(self, key: str, future: Future[T]) -> None:
        error = future.exception()
        if error is not None and not isinstance(error, self._cached_errors):
            self.remove(key, future)
        else:
            self.set_size(key, self._entries.get(key, (future, 0))[1])

    def remove(self, key: str, future: Future[T]) -> None:
        with self._lock:
            if key in self._entries and self._entries[key][0] is future:
                self._used -= self._entries.pop(key)[1]
