"""JSON inside a model's text: where a value ends, and what was meant where it is a little off."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["decode_lenient", "dump", "value_end"]

_CLOSERS = {"{": "}", "[": "]"}
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_MAX_LENIENT = 100_000
_MAX_DEPTH = 64


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def value_end(text: str, start: int) -> int | None:
    """Index after the object or array that begins at ``start``; None while it is incomplete.

    Follows strings (either quote) and brackets only, so that what is not quite JSON still has an end. A closing bracket
    that fits no opening one ends it.
    """
    stack: list[str] = []
    quote = ""
    index = start
    length = len(text)
    while index < length:
        char = text[index]
        if quote:
            if char == "\\":
                index += 1
            elif char == quote:
                quote = ""
        elif char == '"' or (char == "'" and _opens_string(text, index)):
            quote = char
        elif char in _CLOSERS:
            stack.append(_CLOSERS[char])
        elif char in "}]":
            if not stack or stack.pop() != char:
                return index + 1
            if not stack:
                return index + 1
        index += 1
    return None


def _opens_string(text: str, index: int) -> bool:
    """A single quote begins a string only where a value or a key may stand."""
    index -= 1
    while index >= 0 and text[index].isspace():
        index -= 1
    return index >= 0 and text[index] in "{[,:("


def decode_lenient(text: str) -> Any:
    """The value; raises ``ValueError`` where nothing sensible can be read.

    Raw line breaks in strings, trailing commas, and Python's way of writing a dictionary are understood.
    """
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    if len(text) > _MAX_LENIENT or _depth(text) > _MAX_DEPTH:
        raise ValueError("not JSON")
    try:
        return json.loads(_TRAILING_COMMA.sub(r"\1", text), strict=False)
    except ValueError:
        pass
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise ValueError("not JSON") from None
    if not isinstance(value, Mapping | list):
        raise ValueError("not JSON")
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        raise ValueError("not JSON") from None


def _depth(text: str) -> int:
    deepest = depth = 0
    for char in text:
        if char in "{[(":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "}])":
            depth -= 1
    return deepest
