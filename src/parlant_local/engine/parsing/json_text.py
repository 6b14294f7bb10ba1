"""JSON inside a model's text: finding the end of a value, and lenient decoding."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["ValueEnd", "decode_lenient", "dump", "strict", "value_end"]

_CLOSERS = {"{": "}", "[": "]"}
# A stretch of a string without its quote or an escape.
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_MAX_LENIENT = 100_000
_MAX_DEPTH = 64


def dump(value: Any) -> str:
    """Valid JSON text, always: NaN and infinities become null, as in JavaScript."""
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
    """The value of JSON text; raises ``ValueError`` for anything else, NaN and infinities included."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    try:
        value = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("the number is too large")
    return value


class ValueEnd:
    """Finds the end of an object or array in streamed text; each piece is scanned once.

    Only tracks strings (either quote) and brackets, so that invalid JSON still has an end. An unmatched closing bracket
    ends it.
    """

    __slots__ = ("_before", "_escaped", "_quote", "_stack")

    def __init__(self) -> None:
        self._stack: list[str] = []
        self._quote = ""
        self._escaped = False
        self._before = " "
        """The last character that is not white space."""

    def feed(self, text: str, start: int = 0) -> int | None:
        """Index after the value in ``text``, which continues the previous piece; None while it is incomplete."""
        index, length = start, len(text)
        while index < length:
            if self._escaped:
                self._escaped = False
                index += 1
                continue
            if self._quote:
                plain = _PLAIN[self._quote].match(text, index)
                index = plain.end() if plain is not None else index
                if index == length:
                    break
            char = text[index]
            index += 1
            if self._quote:
                if char == "\\":
                    self._escaped = True
                else:
                    self._quote = ""
            elif char == '"' or (char == "'" and self._before in "{[,:("):  # the latter only where a value may begin
                self._quote = char
            elif char in _CLOSERS:
                self._stack.append(_CLOSERS[char])
            elif char in "}]" and (not self._stack or self._stack.pop() != char or not self._stack):
                return index
            if not char.isspace():
                self._before = char
        return None


def value_end(text: str, start: int) -> int | None:
    """Index after the object or array that begins at ``start``; None while it is incomplete."""
    return ValueEnd().feed(text, start)


def decode_lenient(text: str) -> Any:
    """The value; raises ``ValueError`` where none can be decoded.

    Accepts raw line breaks in strings, trailing commas, and Python literals.
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
