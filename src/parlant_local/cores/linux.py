"""Cores as Linux describes them in /sys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["fast_cores"]

_SLOW = 0.6  # of the best capacity: middle cores of phones compute along, small ones hold the others up


def fast_cores(affinity: set[int], devices: Path = Path("/sys/devices")) -> int | None:
    """Physical cores among the processors of ``affinity``, without those of a slower kind; None where /sys doesn't tell."""
    processors = devices / "system" / "cpu"
    cores = {_core(processors / f"cpu{number}" / "topology") for number in _fast(affinity, devices)}
    return len(cores) if cores and None not in cores else None


def _core(topology: Path) -> tuple[int, int] | None:
    try:
        package = (topology / "physical_package_id").read_text("ascii")
        return int(package), int((topology / "core_id").read_text("ascii"))
    except (OSError, ValueError):
        return None


def _fast(affinity: set[int], devices: Path) -> set[int]:
    """Intel's hybrids have a unit of their performance cores; Arm's cores say what they can do."""
    performance = affinity & set(_listed(devices / "cpu_core" / "cpus"))
    if performance:
        return performance
    capacities = {
        number: _capacity(devices / "system" / "cpu" / f"cpu{number}" / "cpu_capacity") for number in affinity
    }
    best = max(capacities.values(), default=0)
    return {number for number, capacity in capacities.items() if capacity >= _SLOW * best}


def _capacity(path: Path) -> int:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return 0  # all are of one kind


def _listed(path: Path) -> Iterator[int]:
    """The numbers of a list such as ``0-3,8,10-11``."""
    try:
        parts = path.read_text("ascii").strip().split(",")
        for part in parts:
            first, _, last = part.partition("-")
            yield from range(int(first), int(last or first) + 1)
    except (OSError, ValueError):
        return
