"""Regular expressions of what stands between a template's marks: texts, and keys that the model thinks of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from parlant_local.engine.patterns import problem_of_grammar

__all__ = [
    "BARE_TEXT",
    "MARKED_KEY",
    "OTHER_THAN_TEXT",
    "PLAIN_KEY",
    "empty_together",
    "free_keys",
    "text_patterns",
    "whole_pattern",
]

_FORMATS = {
    "date": r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])",
    "time": r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
    "date-time": r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "email": r"[a-zA-Z0-9]+([._\-][a-zA-Z0-9]+){0,3}@[a-zA-Z0-9]{1,30}(\.[a-zA-Z0-9]{1,20}){1,3}",
    "ipv4": r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}",
    "uri": r"https?:\/\/[a-zA-Z0-9.\-]{1,60}(\/[a-zA-Z0-9._\-]{0,40}){0,6}",
}

MARKED_KEY = r"[\p{L}\p{N}_$@]([\p{L}\p{N}_$@. \-]{0,62}[\p{L}\p{N}_$@])?"
"""A key between marks: as much of any key as no mark and no white space at its ends could be taken for."""

PLAIN_KEY = "[a-zA-Z_][a-zA-Z0-9_]{0,63}"
"""One that stands without a mark before it."""

OTHER_THAN_TEXT = {
    "number": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+\-]?[0-9]+)?",
    "boolean": "true|false|True|False|TRUE|FALSE",
    "null": "null|None",
}
"""Texts that are read as values of other types, where these are allowed as well."""

BARE_TEXT = r"[ \t\r\n]*([^ \t\r\n\[({](?s:.*))?"
"""One that begins as no array or object does."""


def free_keys(schema: Mapping[str, Any]) -> Iterator[tuple[str | None, Any]]:
    """Patterns of the keys that a closed object leaves open, with what they hold; None: any key."""
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping):
        yield None, extra
    yield from schema.get("patternProperties", {}).items()


def empty_together(patterns: Sequence[str], never: Sequence[str] = ()) -> bool:
    """Whether no text, or none that can be told, matches all ``patterns`` and none of ``never``."""
    return len(patterns) + len(never) > 1 and bool(_problem(tuple(patterns), tuple(never)))


@lru_cache(maxsize=256)
def _problem(patterns: tuple[str, ...], never: tuple[str, ...]) -> str:
    terms = [*(f"/({pattern})/" for pattern in patterns), *(f"~/({pattern})/" for pattern in never)]
    return problem_of_grammar(f"start: T\nT: {' & '.join(terms)}")


def text_patterns(schema: Mapping[str, Any]) -> list[str]:
    """Regular expressions that a text must match, all of them."""
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 600))
    # The white space of a mark is not counted as text: what has to be there ends otherwise.
    found = [f"(?s:.{{{least - 1},{max(most, least) - 1}}})[^ \\t\\r\\n]" if least else f"(?s:.{{0,{most}}})"]
    for part in (schema, *schema.get("allOf", ())):
        if pattern := part.get("pattern"):
            found.append(whole_pattern(pattern))
    if (known := _FORMATS.get(str(schema.get("format")))) is not None:
        found.append(known)
    return found


def whole_pattern(pattern: str) -> str:
    """A pattern of a schema as one that matches a whole text."""
    return "|".join(map(_whole, _alternatives(pattern)))


def _alternatives(pattern: str) -> list[str]:
    """The parts of a pattern between bars that stand in no group or class."""
    parts, depth, start, index, in_class = [], 0, 0, 0, False
    while index < len(pattern):
        letter = pattern[index]
        if letter == "\\":
            index += 1
        elif in_class:
            in_class = letter != "]"
        elif letter in "([":
            in_class, depth = letter == "[", depth + (letter == "(")
        elif letter == ")":
            depth -= 1
        elif letter == "|" and not depth:
            parts.append(pattern[start:index])
            start = index + 1
        index += 1
    return [*parts, pattern[start:]]


def _whole(pattern: str) -> str:
    """A pattern that is searched for as one that matches a whole text, written between slashes."""
    starts, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    inner = re.sub(r"(?<!\\)((?:\\\\)*)/", r"\1\\/", pattern[1 if starts else 0 : -1 if ends else None])
    return f"{'' if starts else '(?s:.*)'}(?:{inner}){'' if ends else '(?s:.*)'}"
