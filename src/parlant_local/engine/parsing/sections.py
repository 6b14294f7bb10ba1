"""The interface of call readers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

__all__ = ["Call", "Reader", "Section", "either"]

Call = tuple[str, str]
"""Name, and arguments as JSON text of an object."""


@dataclass(frozen=True, slots=True)
class Section:
    """A complete piece of output: ``length`` characters that contain calls or, without any, text that only looked like one."""

    length: int
    calls: tuple[Call, ...] = ()
    problem: str = ""
    text: str | None = None
    """Replaces the characters where they contain marks."""


Reader = Callable[[str, bool, Collection[str]], Section | None]
"""(text that begins with an opener, whether it is final, tool names) to a section; None: more text is needed."""


def either(first: Reader, second: Reader) -> Reader:
    """Reads with ``first``, and with ``second`` where that finds no call."""

    def read(text: str, final: bool, names: Collection[str]) -> Section | None:
        section = first(text, final, names)
        if section is not None and not section.calls:
            other = second(text, final, names)
            return other if other is None or other.calls else section
        return section

    return read
