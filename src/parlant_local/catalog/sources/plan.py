"""The files that a source plans to download."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from pydantic import BaseModel

from parlant_local.catalog.records import ModelSource
from parlant_local.catalog.transfer import FileTask
from parlant_local.observability import Logger
from parlant_local.settings import Settings

__all__ = ["Plan", "SourceContext"]

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class SourceContext:
    models_dir: Path
    hub_cache: Path
    """Where files of the hub are stored, in its own cache layout."""
    settings: Settings
    logger: Logger
    stop: Event
    source: str = ""
    """The name of the source."""

    def options(self, model: type[M]) -> M:
        """The owner's settings for this source, ``plugins.<name>``, checked by ``model``."""
        return self.settings.plugin(self.source, model)


def _nothing() -> None:
    """The default of :attr:`Plan.place`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Files of one model, all or none of them."""

    reference: str
    """Canonical, so that the same model is found again."""
    name: str
    source: ModelSource | str
    tasks: tuple[FileTask, ...]
    paths: tuple[Path, ...]
    """The files to load: the destinations, or links to them; one per task with ``is_gguf``."""
    projector: Path | None = None
    """What reads pictures or sounds for it: the destination of one further task, or a link to it."""
    place: Callable[[], None] = _nothing
    """Called once all files are downloaded and verified."""
    revision: str | None = None
    aliases: tuple[str, ...] = ()
    """Other references to this model."""
    family_hint: str = ""
    """Names to derive the family from."""
    extras: Callable[[], Mapping[str, Any]] = field(default=dict)
    """Further fields of the record, read from downloaded files."""

    @property
    def size(self) -> int | None:
        sizes = [task.size for task in self.tasks]
        return None if None in sizes else sum(size or 0 for size in sizes)
