"""Atomic writes: files appear complete or not at all, even if the process is killed or the power fails."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from parlant_local.errors import StateFileError
from parlant_local.paths import real_path
from parlant_local.storage.renaming import rename_over
from parlant_local.storage.sweeping import scratch_for, sweep

__all__ = ["publish", "sync_folder", "whole_file", "write_whole"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def write_whole(path: Path, data: bytes | str, *, private: bool = False) -> None:
    """Replaces the content of ``path``, whose folder is created if missing. Raises :class:`StateFileError`."""
    with whole_file(path, private=private) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def whole_file(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which replaces ``path`` when the context succeeds, and is removed when it fails.

    Symbolic links are followed, permissions preserved. ``private``: mode 0600. Raises :class:`StateFileError`.
    """
    try:
        target = real_path(path)
        mode = _mode_of_file(target)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
        sweep(target.parent)  # leftovers of killed writers
        scratch = scratch_for(target)
        descriptor = os.open(scratch, _FLAGS, 0o600 if private else 0o666)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  # it has been opened
                yield file
                file.flush()
                os.fsync(descriptor)
            if mode is not None and not private:
                scratch.chmod(mode)
            rename_over(scratch, target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StateFileError(path, reason, doing="written") from None


def _mode_of_file(target: Path) -> int | None:
    """The existing file's permissions, None where there is none. Only regular files are replaced, never devices."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise StateFileError(target, "it is not a regular file", doing="written")
    return stat.S_IMODE(mode)


def publish(scratch: Path, target: Path) -> None:
    """Renames a complete file to ``target``, once its bytes are on disk: if only the rename survived a crash, the file would
    be full of zeros."""
    with scratch.open("rb+") as file:
        os.fsync(file.fileno())
    rename_over(scratch, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename survive a power failure, where the system can sync folders."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):  # some network mounts refuse; the file itself has been synced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
