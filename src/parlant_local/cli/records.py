"""A model's figures as they stand in lines and tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel, LocalModelManager
    from parlant_local.catalog.adapters import Adapters
    from parlant_local.catalog.scores import Score

__all__ = ["adapters_told", "count_of", "duration_of", "evaluations", "size_of", "state_of", "told"]


def evaluations(manager: LocalModelManager, records: Iterable[LocalModel]) -> dict[str, Score]:
    """What `evaluate` said of these models, by id."""
    from parlant_local.catalog.scores import score_of, scores

    known = scores(manager.settings.home, manager.logger)
    return {record.id: score for record in records if (score := score_of(record, known)) is not None}


def told(score: Score | None) -> dict[str, Any]:
    """For JSON, beside a record's own values."""
    return {"evaluation": None if score is None else asdict(score)}


def adapters_told(adapters: Adapters) -> dict[str, str]:
    """What each is for, or what is wrong with it."""
    return {
        each.name: f"can't be used: {each.problem}"
        if each.problem
        else f"for models of {each.architecture}, as MODEL:{each.name}; {each.scale:g} of {each.path}"
        for each in adapters.all().values()
    }


def state_of(record: LocalModel) -> str:
    state = record.state.value.replace("_", " ")
    if record.done is not None and record.total:
        state += f" {record.done / record.total:.0%}"
    if record.reason and record.state != "available":
        state += f": {record.reason}"
    if record.makes_pictures:
        return f"{state}, makes pictures"
    if record.for_pictures:
        return f"{state}, part of a model that makes pictures"
    return f"{state}, base" if record.is_base else state


def size_of(record: LocalModel) -> str:
    from parlant_local.catalog.disk import human_bytes

    return human_bytes(record.size or record.total or 0)


def count_of(parameters: int | None) -> str:
    if not parameters:
        return "-"
    if parameters < 1e6:
        return f"{parameters / 1e3:.0f}K"
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def duration_of(seconds: float | None) -> str:
    """``3 min``: to read at a glance, not to calculate with."""
    if seconds is None:
        return "-"
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
