"""The interface of every source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

from parlant_local.catalog.names import check_relative
from parlant_local.catalog.records import LocalModel
from parlant_local.catalog.sources.plan import Plan, SourceContext

__all__ = ["Reference", "Source", "SourceReference"]


class Reference(Protocol):
    """A parsed model reference. ``str()`` is its canonical form, by which the catalogue finds it again."""

    @property
    def source(self) -> str: ...


@dataclass(frozen=True, slots=True)
class SourceReference:
    """``<source>://<name>``, for sources with plain references."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}://{self.name}"


class Source(ABC):
    """Where model files come from. Its name is the prefix of its references: ``<name>://…``. Created for every use."""

    def __init__(self, name: str) -> None:
        self.name = name

    def parse(self, rest: str, text: str) -> Reference:  # noqa: ARG002  # for messages of subclasses
        """What ``rest`` means, which stands behind ``<name>://`` in ``text``. Opens nothing. Raises :class:`BadReferenceError`."""
        return SourceReference(self.name, check_relative(rest))

    @abstractmethod
    def plan(self, reference: Any, context: SourceContext) -> Plan:
        """The files to fetch, for a reference that :meth:`parse` made; in a thread; it may use the network."""

    def note(self, record: LocalModel) -> str:  # noqa: ARG002  # for subclasses
        """What ``parlant-local show`` prints about a model's origin besides its references."""
        return ""
