"""A model's figures as they stand in lines and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel

__all__ = ["count_of", "duration_of", "size_of", "state_of"]


def state_of(record: LocalModel) -> str:
    state = record.state.value.replace("_", " ")
    if record.done is not None and record.total:
        state += f" {record.done / record.total:.0%}"
    if record.reason and record.state != "available":
        state += f": {record.reason}"
    return f"{state}, base" if record.is_base else state


def size_of(record: LocalModel) -> str:
    from parlant_local.catalog.disk import human_bytes

    return human_bytes(record.size or record.total or 0)


def count_of(parameters: int | None) -> str:
    if not parameters:
        return "-"
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def duration_of(seconds: float | None) -> str:
    """``3 min``: to read at a glance, not to calculate with."""
    if seconds is None:
        return "-"
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
