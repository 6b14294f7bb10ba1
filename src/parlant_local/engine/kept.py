"""Results kept by key, each made once however many threads ask; bounded by count and size."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

__all__ = ["Kept"]

T = TypeVar("T")


class Kept(Generic[T]):
    """A lock guards the table, never the making: whoever asks for another key goes on.

    ``lasting``: failures that are the key's own, and kept as well; any other was an accident.
    """

    def __init__(self, count: int, size: int | None = None, *, lasting: type[Exception] | tuple[()] = ()) -> None:
        self._count = count
        self._size = math.inf if size is None else size
        self._lasting = lasting
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[Future[T], int]] = OrderedDict()
        self._used = 0

    def get(self, key: str, start: Callable[[Future[T]], None]) -> Future[T]:
        """What is kept under ``key``; else a new future, handed to ``start``, which sees to it that it gets done."""
        with self._lock:
            if (entry := self._entries.get(key)) is not None:
                self._entries.move_to_end(key)
                return entry[0]
            future: Future[T] = Future()
            self._entries[key] = (future, 0)
        try:
            start(future)
        except BaseException:
            self.forget(key, future)
            raise
        future.add_done_callback(lambda done: self._settle(key, done))
        return future

    def weigh(self, key: str, size: int) -> None:
        """What the entry of ``key`` takes; the longest unused ones make room for it."""
        with self._lock:
            if key in self._entries:
                future, old = self._entries[key]
                self._entries[key] = (future, size)
                self._used += size - old
            while len(self._entries) > 1 and (len(self._entries) > self._count or self._used > self._size):
                self._used -= self._entries.popitem(last=False)[1][1]

    def _settle(self, key: str, future: Future[T]) -> None:
        error = future.exception()
        if error is not None and not isinstance(error, self._lasting):
            self.forget(key, future)
        else:
            self.weigh(key, self._entries.get(key, (future, 0))[1])

    def forget(self, key: str, future: Future[T]) -> None:
        with self._lock:
            if key in self._entries and self._entries[key][0] is future:
                self._used -= self._entries.pop(key)[1]
