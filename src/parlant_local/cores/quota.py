"""How many processors' time the control groups of this process allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from parlant_local import cgroups

__all__ = ["quota"]


def quota(root: Path = cgroups.ROOT, self_cgroup: Path = cgroups.PROC) -> float | None:
    """The least of all groups, from this process's own up to the root; None without a limit."""
    return min(_quotas(root, self_cgroup), default=None)


def _quotas(root: Path, self_cgroup: Path) -> Iterator[float]:
    for version, folder in cgroups.folders("cpu", root, self_cgroup):
        try:
            if version == "v2":
                allowed, period = (folder / "cpu.max").read_text("ascii").split()
            else:
                allowed = (folder / "cpu.cfs_quota_us").read_text("ascii").strip()
                period = (folder / "cpu.cfs_period_us").read_text("ascii")
            if allowed not in ("max", "-1") and int(period) > 0:
                yield int(allowed) / int(period)
        except (OSError, ValueError):
            continue  # the root group has no such files
