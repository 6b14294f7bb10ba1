"""Locks on model files: a loaded model holds a shared lock, deleting takes an exclusive one.

They are the kernel's advisory locks on the files themselves: they follow symbolic links, work between processes, and are
released when the process ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from parlant_local.errors import InvalidModelError, ModelInUseError

__all__ = ["claim", "hold"]

# File systems without locks (some network mounts): a model there loads without one rather than not at all.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def hold(paths: Path | str | Iterable[Path | str]) -> Iterator[bool]:
    """Holds shared locks on files within the context; yields whether the file system could lock them all.

    Pass all shards of a split model (``gguf_info.shard_paths(path)``). Raises :class:`ModelInUseError` when one is being
    deleted, :class:`InvalidModelError` when one is missing.
    """
    with ExitStack() as stack:
        locked = [stack.enter_context(_locked(path, fcntl.LOCK_SH)) for path in _as_paths(paths)]
        yield all(locked)


@contextmanager
def claim(paths: Path | str | Iterable[Path | str]) -> Iterator[None]:
    """Locks files exclusively, to delete or replace them; raises :class:`ModelInUseError` if one is in use."""
    with ExitStack() as stack:
        for path in _as_paths(paths):
            stack.enter_context(_locked(path, fcntl.LOCK_EX))
        yield


def _as_paths(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


@contextmanager
def _locked(path: Path, mode: int) -> Iterator[bool]:
    try:
        # Read-only is enough for a local lock of either kind; O_CLOEXEC (Python's default) keeps children out of it.
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InvalidModelError(f"The model file {path} can't be opened: {error.strerror}.") from None
    try:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
            locked = True
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                doing = "is loaded here or in another process" if mode == fcntl.LOCK_EX else "is being deleted"
                raise ModelInUseError(f"{path} {doing}.", hint="Close what uses it, then try again.") from None
            if error.errno not in _NO_LOCKS and not (mode == fcntl.LOCK_EX and error.errno == errno.EBADF):
                raise
            locked = False
        yield locked
    finally:
        os.close(descriptor)
