"""Room in a folder of a limited size."""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["evict"]


def evict(root: Path, suffix: str, *, needed: int, budget: int, spare: int = 0) -> int:
    """Removes the files of ``root``'s folders that were used longest ago, until ``needed`` more bytes fit into ``budget``; the bytes
    that are left.

    Only names that end in ``suffix`` count. Where anything has to go, ``spare`` more bytes are made free. Another process may do the
    same at the same time.
    """
    files = []
    for path in _files(root, suffix):
        with contextlib.suppress(OSError):
            status = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    used = sum(size for _, size, _ in files)
    if used + needed <= budget:
        return used
    for _, size, path in sorted(files):
        if used + needed <= budget - spare:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            used -= size
    return used


def _files(root: Path, suffix: str) -> list[Path]:
    try:
        return [path for path in root.glob(f"*/*{suffix}") if path.is_file()]
    except OSError:  # missing, no folder, or unreadable: there is nothing to remove
        return []
