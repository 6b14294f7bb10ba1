"""What this process may compute with: affinity, the limits of a container, and the kinds of cores counted in."""

from __future__ import annotations

import os
import sys

import psutil

from parlant_local.cores import linux, macos, windows
from parlant_local.cores.quota import quota

__all__ = ["usable_cores", "usable_threads"]


def usable_threads() -> int:
    """Logical processors."""
    return _within_quota(len(_affinity()) or os.cpu_count() or 1)


def usable_cores() -> int:
    """Physical cores of the fastest kind: two threads of one share its arithmetic, and all would wait for a slow one at every
    operation."""
    affinity = _affinity()
    usable = len(affinity) or os.cpu_count() or 1
    found = _fast_cores(affinity) or psutil.cpu_count(logical=False) or usable
    return _within_quota(min(usable, found))


def _fast_cores(affinity: set[int]) -> int | None:
    if sys.platform == "darwin":
        return macos.fast_cores()
    elif sys.platform == "win32":
        return windows.fast_cores()
    else:
        return linux.fast_cores(affinity)


def _affinity() -> set[int]:
    """The processors that this process may run on; empty where the system doesn't tell (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    ask = getattr(psutil.Process(), "cpu_affinity", None)
    return set() if ask is None else set(ask())


def _within_quota(count: int) -> int:
    limit = quota()
    return max(1, count if limit is None else min(count, round(limit)))
