"""Files appear whole or not at all, also where the power fails."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["publish"]


def publish(scratch: Path, target: Path) -> None:
    """Give a finished file its name, once its bytes are on the disk: a name that survives a crash its bytes don't would
    stand for a model of zeros."""
    with scratch.open("rb+") as file:
        os.fsync(file.fileno())
    scratch.replace(target)
