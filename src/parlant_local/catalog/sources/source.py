"""What every source does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

from parlant_local.catalog.names import check_relative
from parlant_local.catalog.records import LocalModel
from parlant_local.catalog.sources.plan import Plan, SourceContext

__all__ = ["Reference", "Source", "SourceReference"]


class Reference(Protocol):
    """What a user typed to name a model, read. ``str()`` is its canonical form, by which the catalogue finds it again."""

    @property
    def source(self) -> str: ...


@dataclass(frozen=True, slots=True)
class SourceReference:
    """``<source>://<name>``, for sources whose references have no more to them."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}://{self.name}"


class Source(ABC):
    """Where model files come from. Its name begins its references: ``<name>://…``. Made anew for every use."""

    def __init__(self, name: str) -> None:
        self.name = name

    def parse(self, rest: str, text: str) -> Reference:  # noqa: ARG002  # for messages of subclasses
        """What ``rest`` means, which stands behind ``<name>://`` in ``text``. Opens nothing. Raises :class:`BadReferenceError`."""
        return SourceReference(self.name, check_relative(rest))

    @abstractmethod
    def plan(self, reference: Any, context: SourceContext) -> Plan:
        """The files to fetch, for a reference that :meth:`parse` made; in a thread, and free to ask the network."""

    def note(self, record: LocalModel) -> str:  # noqa: ARG002  # for subclasses
        """What ``parlant-local show`` says of the origin of a model from here, beside its references."""
        return ""
