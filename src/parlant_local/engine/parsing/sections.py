"""What readers of calls agree on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

__all__ = ["Call", "Reader", "Section", "either"]

Call = tuple[str, str]
"""Name, and arguments as JSON text of an object."""


@dataclass(frozen=True, slots=True)
class Section:
    """A finished piece of output: ``length`` characters that hold calls, or, without any, text that only looked like it."""

    length: int
    calls: tuple[Call, ...] = ()
    problem: str = ""
    text: str | None = None
    """What to say instead of the characters, where they hold marks."""


Reader = Callable[[str, bool, Collection[str]], Section | None]
"""(text that begins with an opener, whether no more will come, names of the tools) to a section; None: more is needed."""


def either(first: Reader, second: Reader) -> Reader:
    """Reads as ``first`` does, and as ``second`` where that finds no call."""

    def read(text: str, final: bool, names: Collection[str]) -> Section | None:
        section = first(text, final, names)
        if section is not None and not section.calls:
            other = second(text, final, names)
            return other if other is None or other.calls else section
        return section

    return read
