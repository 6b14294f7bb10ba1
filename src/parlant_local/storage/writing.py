"""Files appear whole or not at all, also where the process is killed or the power fails."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from parlant_local.errors import StateFileError
from parlant_local.paths import real_path
from parlant_local.storage.sweeping import scratch_for, sweep

__all__ = ["publish", "sync_folder", "whole_file", "write_whole"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def write_whole(path: Path, data: bytes | str, *, private: bool = False) -> None:
    """Replaces the content of ``path``, whose folder is made where it is missing. Raises :class:`StateFileError`."""
    with whole_file(path, private=private) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def whole_file(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when the context ends well, and vanishes when it doesn't.

    A link is followed and stays; permissions stay too. ``private``: its owner's alone. Raises :class:`StateFileError`.
    """
    try:
        target = real_path(path)
        mode = _mode_of_file(target)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
        sweep(target.parent)  # what was killed here before
        scratch = scratch_for(target)
        descriptor = os.open(scratch, _FLAGS, 0o600 if private else 0o666)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  # it has been opened
                yield file
                file.flush()
                os.fsync(descriptor)
            if mode is not None and not private:
                scratch.chmod(mode)
            scratch.replace(target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StateFileError(path, reason, doing="written") from None


def _mode_of_file(target: Path) -> int | None:
    """Permissions of the file there, None where there is none. What is no file is never replaced: it may be a device."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise StateFileError(target, "it is no regular file", doing="written")
    return stat.S_IMODE(mode)


def publish(scratch: Path, target: Path) -> None:
    """Give a finished file its name, once its bytes are on the disk: a name that survives a crash its bytes don't would
    stand for a model of zeros."""
    with scratch.open("rb+") as file:
        os.fsync(file.fileno())
    scratch.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Have a rename survive a power failure, where the system lets folders be synced."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):  # some network mounts refuse; the file itself has been synced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
