"""Paths as people write them, and questions about paths that are answered whatever stands there.

``pathlib`` raises for names that are too long, folders that can't be entered and links that go in circles; the functions
here say no instead.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["exists", "file_identity", "is_dir", "is_file", "real_path", "user_path"]


def user_path(text: str | os.PathLike[str]) -> Path:
    """``text`` with ``~`` and ``~user`` resolved; an unknown user's stays as it is, and is then a file that isn't there.

    (``Path.expanduser`` raises a bare ``RuntimeError`` for it.)
    """
    return Path(os.path.expanduser(text))  # noqa: PTH111  # see above


def exists(path: str | os.PathLike[str]) -> bool:
    return os.path.exists(path)  # noqa: PTH110  # see above


def is_file(path: str | os.PathLike[str]) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  # see above


def is_dir(path: str | os.PathLike[str]) -> bool:
    return os.path.isdir(path)  # noqa: PTH112  # see above


def real_path(path: str | os.PathLike[str]) -> Path:
    """``path`` with all links followed, as far as they lead."""
    return Path(os.path.realpath(path))


def file_identity(path: Path) -> tuple[object, ...]:
    """Tells a file from the one that replaces it; the same for all paths that lead to it. Of one that isn't there: its path."""
    try:
        found = path.resolve()
        status = found.stat()
    except (OSError, RuntimeError):  # a RuntimeError for links in a circle
        return (path,)
    return found, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
