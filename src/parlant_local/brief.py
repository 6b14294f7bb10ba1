"""Short ``repr``s for a readable REPL: only non-default fields, long values truncated."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

__all__ = ["Brief", "brief"]


class _Brief(reprlib.Repr):
    """Truncates in the middle; floats to four digits."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = 160
        self.maxother = 400
        self.maxlist = self.maxtuple = 6
        self.maxdict = self.maxset = self.maxfrozenset = 12

    def repr_float(self, value: float, _level: int) -> str:
        return f"{value:.4g}"


_SHORT = _Brief()


def brief(value: object) -> str:
    """``repr(value)``, with long texts, collections and floats truncated."""
    return _SHORT.repr(value)


class Brief:
    """A dataclass (with ``repr=False``) whose ``repr`` names the fields that differ from their defaults."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._changed_fields())})"

    def _changed_fields(self) -> Iterator[str]:
        for field in fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value = getattr(self, field.name)
            if field.repr and value != _default(field):
                yield f"{field.name}={brief(value)}"


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default
