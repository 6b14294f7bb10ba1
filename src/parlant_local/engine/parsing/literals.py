"""Matches literals with placeholders in possibly incomplete text. White space between their parts is ignored."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from parlant_local.engine.parsing.syntax import CALLED, ID, INDEX, KEY, NAME

__all__ = ["Literal", "MoreNeeded", "skip_space"]

_HOLES = NAME + KEY + ID + INDEX + CALLED
# A placeholder, a whole mark, or a run of anything else up to the next mark.
_PARTS = re.compile(rf"[{_HOLES}]|<[^<>\s{_HOLES}]*>|[^\s<{_HOLES}]+|<[^<>\s{_HOLES}]*")
# The form of a name that is not among the offered ones.
_ANY_NAME = re.compile(r"[^\s<>\[\]{}()\"'`=,|｜]{1,256}")
_INDEX = re.compile(r"[\w.\-]{0,64}")


class MoreNeeded(Exception):  # a signal, not a failure
    """The text ends before the match can be decided."""


def skip_space(text: str, index: int) -> int:
    while index < len(text) and text[index].isspace():
        index += 1
    return index


@dataclass(slots=True)
class Found:
    """The values of the placeholders."""

    end: int
    name: str = ""
    key: str = ""
    identifier: str = ""


@dataclass(slots=True)
class Literal:
    """One literal of a syntax, compiled."""

    text: str
    parts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.parts = tuple(_PARTS.findall(self.text))

    def __bool__(self) -> bool:
        return bool(self.parts)

    @property
    def head(self) -> str:
        """The first part, unless it is a placeholder."""
        return self.parts[0] if self.parts and self.parts[0] not in _HOLES else ""

    def match(self, text: str, start: int, names: Collection[str] = (), key: str = "") -> Found | None:
        """The match at ``start``; None where there is none. Raises :class:`MoreNeeded` where that can't be decided yet."""
        found = Found(start, key=key)
        for number, part in enumerate(self.parts):
            if part == NAME:
                end = self._name(text, found, names, self._following(number))
            elif part == CALLED:
                end = self._called(text, skip_space(text, found.end))
            elif part in (ID, INDEX):
                end = self._filled(text, found.end, self._following(number), keep=found if part == ID else None)
            else:
                expected = key if part == KEY else part
                end = _expect(text, skip_space(text, found.end), expected)
            if end is None:
                return None
            found.end = end
        return found

    def skip_available(self, text: str, start: int, *, final: bool) -> int:
        """The index after as many parts as are present; models leave some out at the end of an answer."""
        index = start
        for part in self.parts:
            try:
                start = skip_space(text, index)
                end = self._called(text, start) if part == CALLED else _expect(text, start, part)
            except MoreNeeded:
                if not final:
                    raise
                return index
            index = index if end is None else end
        return index

    def _following(self, number: int) -> str:
        return next((part for part in self.parts[number + 1 :] if part not in _HOLES), "")

    @staticmethod
    def _called(text: str, start: int) -> int | None:
        """The end of a name that says again what was called."""
        found = _ANY_NAME.match(text, start)
        end = found.end() if found else start
        if end >= len(text):
            raise MoreNeeded
        return end if found else None

    def _name(self, text: str, found: Found, names: Collection[str], following: str) -> int | None:
        start = skip_space(text, found.end)
        if found.name:
            return _expect(text, start, found.name)
        for name in sorted(names, key=len, reverse=True):
            if text.startswith(name, start) and _ends_here(text, start + len(name), following):
                found.name = name
                return start + len(name)
        rest = text[start : start + 512]
        if not rest or any(name.startswith(rest) for name in names):
            raise MoreNeeded
        other = _ANY_NAME.match(text, start)
        if other is None:
            return None
        end = other.end()
        if following and (cut := text.find(following, start, end + len(following))) > start:
            end = min(end, cut)
        if end >= len(text):
            raise MoreNeeded
        found.name = text[start:end]
        return end

    @staticmethod
    def _filled(text: str, start: int, following: str, keep: Found | None) -> int | None:
        start = skip_space(text, start)
        matched = _INDEX.match(text, start)
        end = matched.end() if matched else start
        if end >= len(text):
            raise MoreNeeded
        if following and (cut := text.find(following, start, end + len(following))) >= start:
            end = min(end, cut)
        if keep is not None:
            keep.identifier = text[start:end]
        return end


def _ends_here(text: str, end: int, following: str) -> bool:
    """Whether a known name is complete: ``get_more`` does not contain the name ``get``."""
    if following and text.startswith(following, end):
        return True
    return end >= len(text) or not (text[end].isalnum() or text[end] in "_-.")


def _expect(text: str, index: int, expected: str) -> int | None:
    if text.startswith(expected, index):
        return index + len(expected)
    if len(text) - index < len(expected) and expected.startswith(text[index:]):
        raise MoreNeeded
    return None


def partial(text: str, index: int, heads: Iterator[str]) -> bool:
    """Whether one of ``heads`` is at ``index``; raises :class:`MoreNeeded` where it may become one."""
    undecided = False
    rest = text[index : index + 256]
    for head in heads:
        if rest.startswith(head):
            return True
        undecided = undecided or head.startswith(rest)
    if undecided:
        raise MoreNeeded
    return False
