"""Locks on model files: a loaded model holds a shared lock, deleting takes an exclusive one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from parlant_local.errors import InvalidModelError, ModelInUseError
from parlant_local.gguf_info.file_locks import HeldError, Mode, lock

__all__ = ["claim", "hold", "replacing"]


@contextmanager
def hold(paths: Path | str | Iterable[Path | str]) -> Iterator[bool]:
    """Holds shared locks on files within the context; yields whether the file system could lock them all: where it has no
    locks (some network mounts), a model loads without one rather than not at all.

    Pass all shards of a split model (``gguf_info.shard_paths(path)``). Raises :class:`ModelInUseError` when one is being
    deleted, :class:`InvalidModelError` when one is missing.
    """
    with ExitStack() as stack:
        locked = [stack.enter_context(_locked(path, "shared")) for path in _as_paths(paths)]
        yield all(locked)


@contextmanager
def claim(paths: Path | str | Iterable[Path | str]) -> Iterator[None]:
    """Locks files exclusively, to delete or replace them; raises :class:`ModelInUseError` if one is in use."""
    with ExitStack() as stack:
        for path in _as_paths(paths):
            stack.enter_context(_locked(path, "exclusive"))
        yield


@contextmanager
def replacing(path: Path) -> Iterator[None]:
    """:func:`claim`, to rename another file over ``path`` within the context: Windows renames over none that is open, so that
    there it is only looked at first."""
    if sys.platform == "win32":
        with claim(path):
            pass
        yield
        return
    with claim(path):
        yield


def _as_paths(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


@contextmanager
def _locked(path: Path, mode: Mode) -> Iterator[bool]:
    try:
        held = lock(path, mode)
    except HeldError:
        doing = "is loaded here or in another process" if mode == "exclusive" else "is being deleted"
        raise ModelInUseError(f"{path} {doing}.", hint="Close what uses it, then try again.") from None
    except OSError as error:
        raise InvalidModelError(f"The model file {path} can't be opened: {error.strerror}.") from None
    try:
        yield held.locked
    finally:
        held.close()
