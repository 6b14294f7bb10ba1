"""A path as people write it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["user_path"]


def user_path(text: str | os.PathLike[str]) -> Path:
    """``text`` with ``~`` and ``~user`` resolved; an unknown user's stays as it is, and is then a file that isn't there.

    (``Path.expanduser`` raises a bare ``RuntimeError`` for it.)
    """
    return Path(os.path.expanduser(text))  # noqa: PTH111  # see above
