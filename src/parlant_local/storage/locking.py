"""Locks between processes. The kernel releases them when a process is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from parlant_local.errors import StateFileError

__all__ = ["locked"]


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Holds an exclusive lock on ``path``, whose folder is created if missing.

    Raises :class:`TimeoutError` when another process has held it for ``seconds``, :class:`StateFileError` where locking
    fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=seconds)
        lock.acquire()
    except Timeout:
        raise TimeoutError(f"another process has held {path} for {seconds:g} s") from None
    except (OSError, ValueError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StateFileError(path, reason, doing="locked") from None
    try:
        yield
    finally:
        lock.release()
