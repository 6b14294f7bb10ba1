"""JSON inside a model's text: where a value ends, and what was meant where it is a little off."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["decode_lenient", "dump", "strict", "value_end"]

_CLOSERS = {"{": "}", "[": "]"}
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_MAX_LENIENT = 100_000
_MAX_DEPTH = 64


def dump(value: Any) -> str:
    """JSON text, always: what JSON has no number for (not a number, infinite) becomes null, as in JavaScript."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def strict(text: str) -> Any:
    """The value of JSON text; raises ``ValueError`` for anything else, numbers that JSON can't hold included."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    try:
        value = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("the number is too large")
    return value


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
