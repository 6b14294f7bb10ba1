"""What this process may compute with: affinity and the limits of a container counted in."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

__all__ = ["usable_cores", "usable_threads"]


def usable_threads() -> int:
    """Logical processors."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def usable_cores() -> int:
    """Physical cores: two threads of one share its arithmetic, and a second one gains a model nothing."""
    usable = usable_threads()
    usable = min(usable, psutil.cpu_count(logical=False) or usable)
    with contextlib.suppress(OSError, ValueError):  # no such limit on this system
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            usable = min(usable, max(1, round(int(quota) / int(period))))
    return max(1, usable)
