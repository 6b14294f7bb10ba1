"""Patterns as ECMA-262 writes them, put into the dialect that the decoder compiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["Translated", "ending", "translated"]

# One piece of a pattern; every alternative begins differently, so that reading takes one pass.
_PIECE = re.compile(r"\\[pPux]\{[^{}]*\}|\\.|\[|\(\?<?[=!]|\(|\)|\{|[^\\\[({)]+", re.DOTALL)
_COUNT = re.compile(r"\{(\d{1,9})(,(\d{0,9}))?\}")
_CLASS_ESCAPED = frozenset("[&~")  # letters of a class that the decoder's dialect reads as operators
_LAST = re.compile(r"[^.*+?|^$]*\Z")
_LOOKAHEADS = ("(?=", "(?!")


@dataclass(frozen=True, slots=True)
class Translated:
    """A text matches the pattern where it matches ``pattern`` and all of ``also``, and none of ``never``."""

    pattern: str
    also: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)


def translated(pattern: str, bounds: ConstraintSettings) -> Translated:
    """``pattern`` for the decoder, lookaheads at its very start apart.

    Raises :class:`SchemaError` for one that is longer than ``bounds`` allow or repeats more often, and for what no automaton
    can decide: other lookarounds, and references back.
    """
    if len(pattern) > bounds.max_pattern:
        raise SchemaError(
            f"A pattern of the schema has {len(pattern)} characters; engine.constraints.max_pattern is {bounds.max_pattern}.",
            keyword="pattern",
            hint="Shorten it, or raise the setting.",
        )
    if any("\ud800" <= letter <= "\udfff" for letter in pattern):
        raise SchemaError("A pattern of the schema holds an unpaired surrogate, which is no text.", keyword="pattern")
    pieces = list(_pieces(pattern, bounds))
    result = Translated("", [], [])
    start = 1 if pieces[:1] == ["^"] else 0
    place = start
    while place < len(pieces) and pieces[place] in _LOOKAHEADS and start:
        end = _closing(pieces, place)
        inner = "".join(_plain(pieces[place + 1 : end], pattern)).removeprefix("^")
        (result.also if pieces[place] == "(?=" else result.never).append(f"^(?:{inner})")
        place = end + 1
    if place > start and "|" in _top_level(pieces[place:]):
        raise _undecidable(pattern, "a lookahead in one of several alternatives")
    rest = "".join(_plain(pieces[:start] + pieces[place:], pattern))
    return Translated(rest, result.also, result.never)


def ending(pattern: str) -> str:
    """The letters that a pattern, as :func:`translated` writes it, wants last; empty where it names none."""
    pieces = list(_pieces(pattern, None))
    wanted = ""
    while pieces:
        piece = pieces.pop()
        if len(piece) == 2 and piece[0] == "\\" and not piece[1].isalnum():
            wanted = piece[1] + wanted
            continue
        if piece == ")" and not wanted:
            continue  # the last one of its alternatives
        if piece[0] in "\\[(){":
            break
        letters = _LAST.search(piece.removeprefix("?:").removesuffix("$") if not wanted else piece.removeprefix("?:"))
        assert letters is not None  # it may be empty
        wanted = letters[0] + wanted
        if letters.start():
            break
    return wanted


def _pieces(pattern: str, bounds: ConstraintSettings | None) -> Iterator[str]:
    place = 0
    while place < len(pattern):
        if pattern[place] == "[":
            text, place = _class(pattern, place)
            yield text
            continue
        if pattern[place] == "{":
            text, place = _repeat(pattern, place, bounds)
            yield text
            continue
        found = _PIECE.match(pattern, place)
        if found is None:
            raise SchemaError("A pattern of the schema ends in a single backslash.", keyword="pattern")
        place = found.end()
        if re.match(r"\\[1-9]|\\k<", pattern[found.start() :][:3]):
            raise _undecidable(pattern, "a reference back")
        if bounds is not None and found[0] in ("\\b", "\\B"):
            raise _undecidable(pattern, "a word's boundary", "which the decoder can't write")
        if found[0].startswith("\\c") and place < len(pattern) and pattern[place].isascii():
            yield f"\\x{ord(pattern[place]) % 32:02x}"
            place += 1
        elif found[0] == "^" or not found[0].startswith("^") or len(found[0]) == 1:
            yield found[0]
        else:
            yield "^"
            yield found[0][1:]


def _class(pattern: str, place: int) -> tuple[str, int]:
    """A class with its operators escaped; ECMA-262 has none."""
    written, place = ["["], place + 1
    if pattern[place : place + 1] == "^":
        written.append("^")
        place += 1
    if pattern[place : place + 1] == "]":  # [] is nothing, [^] is everything
        return ("[\\s\\S]" if len(written) == 2 else "[^\\s\\S]"), place + 1
    while place < len(pattern) and pattern[place] != "]":
        if pattern[place] == "\\":
            written.append("\\x08" if pattern[place + 1 : place + 2] == "b" else pattern[place : place + 2])
            place += 2
            continue
        if pattern[place] == "[" and (posix := re.compile(r"\[:\^?[a-z]+:\]").match(pattern, place)):
            written.append(posix[0])
            place = posix.end()
            continue
        written.append("\\" * (pattern[place] in _CLASS_ESCAPED) + pattern[place])
        place += 1
    if place >= len(pattern):
        raise SchemaError("A pattern of the schema has a class without an end.", keyword="pattern")
    return "".join(written) + "]", place + 1


def _repeat(pattern: str, place: int, bounds: ConstraintSettings | None) -> tuple[str, int]:
    """A repetition within bounds; a brace that begins none is a brace."""
    found = _COUNT.match(pattern, place)
    if found is not None and bounds is None:
        return found[0], found.end()
    if bounds is None:
        return "\\{", place + 1
    if found is None:
        if re.match(r"\{\d+(,\d*)?\}", pattern[place:]):
            raise _too_often(bounds)
        return "\\{", place + 1
    if max(int(found[1]), int(found[3] or 0)) > bounds.max_repeat:
        raise _too_often(bounds)
    return found[0], found.end()


def _too_often(bounds: ConstraintSettings) -> SchemaError:
    return SchemaError(
        f"A pattern of the schema repeats more often than engine.constraints.max_repeat, {bounds.max_repeat}.",
        keyword="pattern",
        hint="Lower the count, or raise the setting.",
    )


def _closing(pieces: list[str], place: int) -> int:
    """Where the group that begins at ``place`` ends."""
    open_groups = 0
    for index in range(place, len(pieces)):
        open_groups += pieces[index].startswith("(")
        open_groups -= pieces[index] == ")"
        if not open_groups:
            return index
    raise SchemaError("A pattern of the schema has a group without an end.", keyword="pattern")


def _top_level(pieces: list[str]) -> str:
    """What stands outside all groups and classes."""
    open_groups, written = 0, []
    for piece in pieces:
        open_groups += piece.startswith("(")
        open_groups -= piece == ")"
        if not open_groups and piece[0] not in "\\[":
            written.append(piece)
    return "".join(written)


def _plain(pieces: list[str], pattern: str) -> list[str]:
    if any(piece.startswith(("(?=", "(?!", "(?<=", "(?<!")) for piece in pieces):
        raise _undecidable(pattern, "a lookaround that is not a lookahead at its very start")
    return pieces


def _undecidable(pattern: str, what: str, why: str = "which takes time without bound to decide") -> SchemaError:
    return SchemaError(
        f"The schema's pattern {pattern[:80]!r} has {what}, {why}.",
        keyword="pattern",
        hint="Write it without, or list the texts in an enum.",
    )
