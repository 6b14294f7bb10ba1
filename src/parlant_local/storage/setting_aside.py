"""Keeping what can't be read, out of the way of what takes its place."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from parlant_local.errors import StateFileError

__all__ = ["set_aside"]


def set_aside(path: Path) -> Path:
    """Rename a damaged file (or whatever stands there) to ``NAME.damaged-…``; where it is now.

    Nothing reads it there: it is for its owner to repair or remove. Raises :class:`StateFileError`.
    """
    aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
    try:
        os.rename(path, aside)  # noqa: PTH104  # a folder may stand there
    except OSError as error:
        raise StateFileError(path, error.strerror or str(error), doing="set aside") from None
    return aside
