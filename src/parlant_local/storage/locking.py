"""Locks between processes. They are the kernel's: a process that is killed lets go of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from parlant_local.errors import StateFileError

__all__ = ["locked"]


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Alone among all processes that lock ``path``, whose folder is made where it is missing.

    Raises :class:`TimeoutError` when another one has kept it for ``seconds``, :class:`StateFileError` where nothing can
    be locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=seconds)
        lock.acquire()
    except Timeout:
        raise TimeoutError(f"another process has held {path} for {seconds:g} s") from None
    except (OSError, ValueError, NotImplementedError) as error:  # the last: a file system without locks
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StateFileError(path, reason, doing="locked") from None
    try:
        yield
    finally:
        lock.release()
