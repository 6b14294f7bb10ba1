"""What the engines of this process take, against engine.memory_mb and the memory there is. All figures in bytes, as estimated."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from parlant_local.gguf_info import available_memory

__all__ = ["MemoryAccount"]

_MIB = 1024 * 1024
_SPARE = 0.05  # of the available memory, which growing leaves to others


class MemoryAccount:
    """One engine's: ``taken`` gives what it takes now."""

    def __init__(self, limit_mb: int | None, taken: Callable[[], int]) -> None:
        self.taken = taken
        self._limit = None if limit_mb is None else limit_mb * _MIB
        with _lock:
            _accounts.add(self)

    def missing(self, extra: int, *, passing: int = 0) -> int:
        """The bytes that are missing for it to take ``extra`` more, and ``passing`` besides for a moment; 0 where there is room."""
        missing = extra + passing - int(available_memory() * (1 - _SPARE))
        if self._limit is not None:
            missing = max(missing, _in_process() + extra - self._limit)
        return max(0, missing)

    def close(self) -> None:
        self.taken = lambda: 0
        with _lock:
            _accounts.discard(self)


_lock = threading.Lock()
_accounts: weakref.WeakSet[MemoryAccount] = weakref.WeakSet()


def _in_process() -> int:
    with _lock:
        return sum(account.taken() for account in _accounts)


def _after_fork() -> None:
    global _lock, _accounts
    _lock, _accounts = threading.Lock(), weakref.WeakSet()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
