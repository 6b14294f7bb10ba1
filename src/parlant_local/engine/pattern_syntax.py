"""Translates ECMA-262 patterns to the dialect that the decoder compiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["Translated", "ending", "translated"]

# One piece of a pattern; every alternative begins differently, so that scanning takes one pass.
_PIECE = re.compile(r"\\[pPux]\{[^{}]*\}|\\.|\[|\(\?<?[=!]|\(|\)|\{|[^\\\[({)]+", re.DOTALL)
_COUNT = re.compile(r"\{(\d{1,9})(,(\d{0,9}))?\}")
_CLASS_ESCAPED = frozenset("[&~")  # characters that are operators in classes of the decoder's dialect
_LAST = re.compile(r"[^.*+?|^$]*\Z")
_LOOKAHEADS = ("(?=", "(?!")


@dataclass(frozen=True, slots=True)
class Translated:
    """A text matches if it matches ``pattern`` and all of ``also``, and none of ``never``."""

    pattern: str
    also: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)


def translated(pattern: str, bounds: ConstraintSettings) -> Translated:
    """``pattern`` for the decoder, with lookaheads at its very start split off.

    Raises :class:`SchemaError` for one that exceeds ``bounds`` in length or repetitions, and for what no automaton can
    decide: other lookarounds, and backreferences.
    """
    if len(pattern) > bounds.max_pattern:
        raise SchemaError(
            f"A pattern of the schema has {len(pattern)} characters; engine.constraints.max_pattern is {bounds.max_pattern}.",
            keyword="pattern",
            hint="Shorten it, or raise the setting.",
        )
    if any("\ud800" <= letter <= "\udfff" for letter in pattern):
        raise SchemaError(
            "A pattern of the schema holds an unpaired surrogate, which is not valid text.", keyword="pattern"
        )
    pieces = list(_pieces(pattern, bounds))
    result = Translated("", [], [])
    start = 1 if pieces[:1] == ["^"] else 0
    position = start
    while position < len(pieces) and pieces[position] in _LOOKAHEADS and start:
        end = _group_end(pieces, position)
        inner = "".join(_without_lookarounds(pieces[position + 1 : end], pattern)).removeprefix("^")
        (result.also if pieces[position] == "(?=" else result.never).append(f"^(?:{inner})")
        position = end + 1
    if position > start and "|" in _top_level(pieces[position:]):
        raise _undecidable(pattern, "a lookahead in one of several alternatives")
    rest = "".join(_without_lookarounds(pieces[:start] + pieces[position:], pattern))
    return Translated(rest, result.also, result.never)


def ending(pattern: str) -> str:
    """The literal suffix that a translated pattern requires; empty where there is none."""
    pieces = list(_pieces(pattern, None))
    suffix = ""
    while pieces:
        piece = pieces.pop()
        if len(piece) == 2 and piece[0] == "\\" and not piece[1].isalnum():
            suffix = piece[1] + suffix
            continue
        if piece == ")" and not suffix:
            continue  # the last of its alternatives
        if piece[0] in "\\[(){":
            break
        letters = _LAST.search(piece.removeprefix("?:").removesuffix("$") if not suffix else piece.removeprefix("?:"))
        assert letters is not None  # it may be empty
        suffix = letters[0] + suffix
        if letters.start():
            break
    return suffix


def _pieces(pattern: str, bounds: ConstraintSettings | None) -> Iterator[str]:
    position = 0
    while position < len(pattern):
        if pattern[position] == "[":
            text, position = _class(pattern, position)
            yield text
            continue
        if pattern[position] == "{":
            text, position = _repeat(pattern, position, bounds)
            yield text
            continue
        found = _PIECE.match(pattern, position)
        if found is None:
            raise SchemaError("A pattern of the schema ends in a single backslash.", keyword="pattern")
        position = found.end()
        if re.match(r"\\[1-9]|\\k<", pattern[found.start() :][:3]):
            raise _undecidable(pattern, "a backreference")
        if bounds is not None and found[0] in ("\\b", "\\B"):
            raise _undecidable(pattern, "a word's boundary", "which the decoder can't write")
        if found[0].startswith("\\c") and position < len(pattern) and pattern[position].isascii():
            yield f"\\x{ord(pattern[position]) % 32:02x}"
            position += 1
        elif found[0] == "^" or not found[0].startswith("^") or len(found[0]) == 1:
            yield found[0]
        else:
            yield "^"
            yield found[0][1:]


def _class(pattern: str, position: int) -> tuple[str, int]:
    """A character class with the dialect's operators escaped, which ECMA-262 lacks."""
    parts, position = ["["], position + 1
    if pattern[position : position + 1] == "^":
        parts.append("^")
        position += 1
    if pattern[position : position + 1] == "]":  # [] is nothing, [^] is everything
        return ("[\\s\\S]" if len(parts) == 2 else "[^\\s\\S]"), position + 1
    while position < len(pattern) and pattern[position] != "]":
        if pattern[position] == "\\":
            parts.append("\\x08" if pattern[position + 1 : position + 2] == "b" else pattern[position : position + 2])
            position += 2
            continue
        if pattern[position] == "[" and (posix := re.compile(r"\[:\^?[a-z]+:\]").match(pattern, position)):
            parts.append(posix[0])
            position = posix.end()
            continue
        parts.append("\\" * (pattern[position] in _CLASS_ESCAPED) + pattern[position])
        position += 1
    if position >= len(pattern):
        raise SchemaError("A pattern of the schema has an unterminated character class.", keyword="pattern")
    return "".join(parts) + "]", position + 1


def _repeat(pattern: str, position: int, bounds: ConstraintSettings | None) -> tuple[str, int]:
    """A repetition within bounds; any other brace is literal."""
    found = _COUNT.match(pattern, position)
    if found is not None and bounds is None:
        return found[0], found.end()
    if bounds is None:
        return "\\{", position + 1
    if found is None:
        if re.match(r"\{\d+(,\d*)?\}", pattern[position:]):
            raise _too_many_repeats(bounds)
        return "\\{", position + 1
    if max(int(found[1]), int(found[3] or 0)) > bounds.max_repeat:
        raise _too_many_repeats(bounds)
    return found[0], found.end()


def _too_many_repeats(bounds: ConstraintSettings) -> SchemaError:
    return SchemaError(
        f"A pattern of the schema repeats more often than engine.constraints.max_repeat, {bounds.max_repeat}.",
        keyword="pattern",
        hint="Lower the count, or raise the setting.",
    )


def _group_end(pieces: list[str], position: int) -> int:
    """The index of the end of the group that begins at ``position``."""
    open_groups = 0
    for index in range(position, len(pieces)):
        open_groups += pieces[index].startswith("(")
        open_groups -= pieces[index] == ")"
        if not open_groups:
            return index
    raise SchemaError("A pattern of the schema has an unterminated group.", keyword="pattern")


def _top_level(pieces: list[str]) -> str:
    """The text outside all groups and classes."""
    open_groups, parts = 0, []
    for piece in pieces:
        open_groups += piece.startswith("(")
        open_groups -= piece == ")"
        if not open_groups and piece[0] not in "\\[":
            parts.append(piece)
    return "".join(parts)


def _without_lookarounds(pieces: list[str], pattern: str) -> list[str]:
    if any(piece.startswith(("(?=", "(?!", "(?<=", "(?<!")) for piece in pieces):
        raise _undecidable(pattern, "a lookaround that is not a lookahead at its very start")
    return pieces


def _undecidable(pattern: str, what: str, why: str = "which takes time without bound to decide") -> SchemaError:
    return SchemaError(
        f"The schema's pattern {pattern[:80]!r} has {what}, {why}.",
        keyword="pattern",
        hint="Rewrite it without, or list the values in an enum.",
    )
