"""Disk space, checked before a download starts."""

from __future__ import annotations

import shutil
from pathlib import Path

from parlant_local.errors import DiskSpaceError
from parlant_local.paths import exists

__all__ = ["check_space", "human_bytes"]

_RESERVE = 64 * 1024 * 1024  # never fill a disk to the last byte
_SMALL_DISK_SHARE = 0.02


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise :class:`DiskSpaceError` with figures if ``needed`` bytes don't fit below ``folder`` (which may not exist yet)."""
    place = folder
    while not exists(place) and place.parent != place:
        place = place.parent
    usage = shutil.disk_usage(place)
    reserve = min(_RESERVE, int(usage.total * _SMALL_DISK_SHARE))
    if needed + reserve > usage.free:
        raise DiskSpaceError(
            f"{purpose} needs {human_bytes(needed)} in {folder}; {human_bytes(usage.free)} are available.",
            needed=needed,
            available=usage.free,
            hint="Free some space (`parlant-local rm MODEL`), choose a smaller quantization, or set --models-dir or HF_HOME.",
        )


def human_bytes(count: float) -> str:
    """``2.0 GB``: decimal units, as model pages use them."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
