"""Regular expressions of the text between a template's marks: strings, and keys of the model's choice."""

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
"""A key between marks: any key that can't be mistaken for a mark and has no white space at its ends."""

PLAIN_KEY = "[a-zA-Z_][a-zA-Z0-9_]{0,63}"
"""A key without a mark before it."""

OTHER_THAN_TEXT = {
    "number": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+\-]?[0-9]+)?",
    "boolean": "true|false|True|False|TRUE|FALSE",
    "null": "null|None",
}
"""Strings that would be parsed as values of another type, where that type is allowed as well."""

BARE_TEXT = r"[ \t\r\n]*([^ \t\r\n\[({](?s:.*))?"
"""A string that does not begin like an array or object."""


def free_keys(schema: Mapping[str, Any]) -> Iterator[tuple[str | None, Any]]:
    """Patterns of the keys that a closed object leaves open, with their value schemas; None: any key."""
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping):
        yield None, extra
    yield from schema.get("patternProperties", {}).items()


def empty_together(patterns: Sequence[str], never: Sequence[str] = ()) -> bool:
    """Whether no text matches all ``patterns`` and none of ``never``, or it can't be decided."""
    return len(patterns) + len(never) > 1 and bool(_problem(tuple(patterns), tuple(never)))


@lru_cache(maxsize=256)
def _problem(patterns: tuple[str, ...], never: tuple[str, ...]) -> str:
    terms = [*(f"/({pattern})/" for pattern in patterns), *(f"~/({pattern})/" for pattern in never)]
    return problem_of_grammar(f"start: T\nT: {' & '.join(terms)}")


def text_patterns(schema: Mapping[str, Any]) -> list[str]:
    """Regular expressions that a string must match, all of them."""
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 600))
    # White space before the closing mark does not count as text, so required text must not end in it.
    found = [f"(?s:.{{{least - 1},{max(most, least) - 1}}})[^ \\t\\r\\n]" if least else f"(?s:.{{0,{most}}})"]
    for part in (schema, *schema.get("allOf", ())):
        if pattern := part.get("pattern"):
            found.append(whole_pattern(pattern))
    if (known := _FORMATS.get(str(schema.get("format")))) is not None:
        found.append(known)
    return found


def whole_pattern(pattern: str) -> str:
    """A schema's pattern as one that matches the whole string."""
    return "|".join(map(_whole, _alternatives(pattern)))


def _alternatives(pattern: str) -> list[str]:
    """The top-level alternatives of a pattern."""
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
    """A search pattern as one that matches the whole string, escaped for slashes."""
    starts, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    inner = re.sub(r"(?<!\\)((?:\\\\)*)/", r"\1\\/", pattern[1 if starts else 0 : -1 if ends else None])
    return f"{'' if starts else '(?s:.*)'}(?:{inner}){'' if ends else '(?s:.*)'}"
