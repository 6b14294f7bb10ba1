"""Scratch files, named by process, so that those of killed processes can be recognised and removed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil

__all__ = ["scratch_folder", "scratch_for", "sweep"]

# .NAME.MACHINE-PROCESS-RANDOM.tmp
_SCRATCH = re.compile(r"^\..*\.([0-9a-f]{8})-(\d{1,9})-[0-9a-f]{8}\.tmp$", re.DOTALL)
_ABANDONED_AFTER_SECONDS = 86_400.0
_MAX_NAME_BYTES = 200


def scratch_for(target: Path) -> Path:
    """A unique path beside ``target``."""
    name = target.name.encode(errors="surrogateescape")[: _MAX_NAME_BYTES - 40].decode(errors="ignore")
    return target.with_name(f".{name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


@contextlib.contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """A folder of the caller's own beside ``target``, removed with everything in it at the end."""
    folder = scratch_for(target)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        # What can't be removed now, a file that a scanner holds open, say, is swept later.
        shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, *, below: bool = False) -> int:
    """Removes scratch files and folders of dead writers in ``folder`` and, with ``below``, in all subfolders; returns their number."""
    swept = 0
    for path, match in _scratch_files(folder, below):
        if _is_abandoned(path, match[1], int(match[2])):
            with contextlib.suppress(OSError):  # another process sweeps, too, or the folder is read-only
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                swept += 1
    return swept


def _scratch_files(folder: Path, below: bool) -> Iterator[tuple[Path, re.Match[str]]]:
    for where, folders, names in os.walk(folder):
        for name in (*names, *folders):
            if name.endswith(".tmp") and (match := _SCRATCH.match(name)):
                yield Path(where, name), match
        folders[:] = [name for name in folders if below and not _SCRATCH.match(name)]


def _is_abandoned(path: Path, machine: str, process: int) -> bool:
    # Processes of another container or host that shares the folder can't be looked up: only age decides.
    if machine == _machine() and not psutil.pid_exists(process):
        return True
    try:
        age = time.time() - path.lstat().st_mtime
    except OSError:
        return False
    return abs(age) > _ABANDONED_AFTER_SECONDS  # far in the future: the clock was wrong when it was written


@cache
def _machine() -> str:
    """Where a process id means this process: containers of one host may share its name, and not its processes."""
    try:
        processes = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        processes = ""
    return hashlib.sha256(f"{platform.node()} {processes}".encode(errors="surrogateescape")).hexdigest()[:8]
