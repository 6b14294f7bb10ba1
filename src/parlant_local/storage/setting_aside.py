"""Moving unreadable files aside, so that new ones can take their place."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from parlant_local.errors import StateFileError

__all__ = ["set_aside"]


def set_aside(path: Path) -> Path:
    """Renames a damaged file (or folder) to ``NAME.damaged-…``; returns the new path.

    Nothing reads it there: the owner may repair or remove it. Raises :class:`StateFileError`.
    """
    aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
    try:
        os.rename(path, aside)  # noqa: PTH104  # it may be a folder
    except OSError as error:
        raise StateFileError(path, error.strerror or str(error), doing="set aside") from None
    return aside
