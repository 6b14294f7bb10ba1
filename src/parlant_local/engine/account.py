"""What the engines of this process take, against engine.memory_mb and the memory there is. All figures in bytes, as estimated."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace

from parlant_local.engine.native.devices import Device
from parlant_local.forking import in_forked_child
from parlant_local.gguf_info import available_memory

__all__ = ["MemoryAccount", "taken_in_process", "without_ours"]

_MIB = 1024 * 1024
_SPARE = 0.05  # of the available memory, which growing leaves to others


class MemoryAccount:
    """One engine's: ``taken`` gives what it takes of the machine's memory now, ``on_gpus`` of each GPU's own."""

    def __init__(
        self, limit_mb: int | None, taken: Callable[[], int], on_gpus: Callable[[], Sequence[int]] = tuple
    ) -> None:
        self.taken = taken
        self.on_gpus = on_gpus
        self._limit = None if limit_mb is None else limit_mb * _MIB
        with _lock:
            _accounts.add(self)

    def missing(self, extra: int, *, passing: int = 0) -> int:
        """The bytes that are missing for it to take ``extra`` more, and ``passing`` besides for a moment; 0 where there is room."""
        missing = extra + passing - int(available_memory() * (1 - _SPARE))
        if self._limit is not None:
            missing = max(missing, taken_in_process() + extra - self._limit)
        return max(0, missing)

    def close(self) -> None:
        self.taken, self.on_gpus = lambda: 0, tuple
        with _lock:
            _accounts.discard(self)


_lock = threading.Lock()
_accounts: weakref.WeakSet[MemoryAccount] = weakref.WeakSet()


def taken_in_process() -> int:
    """Of the machine's memory, by all engines."""
    with _lock:
        return sum(account.taken() for account in _accounts)


def without_ours(gpus: Sequence[Device]) -> tuple[Device, ...]:
    """``gpus`` as if this process had no model loaded."""
    with _lock:
        taken = [account.on_gpus() for account in _accounts]
    ours = [sum(sizes[index] for sizes in taken if index < len(sizes)) for index in range(len(gpus))]
    return tuple(replace(gpu, free=min(gpu.total, gpu.free + own)) for gpu, own in zip(gpus, ours, strict=True))


@in_forked_child
def _after_fork() -> None:
    global _lock, _accounts
    _lock, _accounts = threading.Lock(), weakref.WeakSet()
