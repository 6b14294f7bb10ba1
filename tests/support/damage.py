"""What may stand where a state file should be."""

from __future__ import annotations

import os
from pathlib import Path

from parlant_local.storage import scratch_for

__all__ = ["scratch_of_a_dead_process"]


def scratch_of_a_dead_process(target: Path) -> Path:
    """The name of a scratch file beside ``target`` whose writer is gone (its number is beyond any system's)."""
    path = scratch_for(target)
    return path.with_name(path.name.replace(f"-{os.getpid()}-", "-999999999-"))
