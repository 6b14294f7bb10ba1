"""Text utilities: replacing unpaired surrogates, parsing JSON, displaying values in error messages."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from typing import Any

__all__ = ["json_value", "mend", "shown", "whole_text", "whole_value"]

_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")
_MAX_SHOWN = 200


def whole_text(text: str) -> str:
    """``text`` with unpaired surrogates replaced, since they can't be encoded, sent or stored."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub(_whole, text)  # a Python callback, so that other threads can run meanwhile
    return text


def _whole(match: re.Match[str]) -> str:
    found = match.group()
    if len(found) == 1:
        return "\N{REPLACEMENT CHARACTER}"
    return found.encode("utf-16", "surrogatepass").decode("utf-16")


def whole_value(value: Any) -> Any:
    """JSON with unpaired surrogates replaced."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, Mapping):
        return {whole_value(key): whole_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole_value(item) for item in value]
    return value


def mend(owner: Any, *fields: str) -> None:
    """Replaces unpaired surrogates in a frozen object's texts."""
    for name in fields:
        value = getattr(owner, name)
        if isinstance(value, str) and not value.isascii():
            object.__setattr__(owner, name, whole_text(value))


def json_value(text: str | bytes) -> Any:
    """The value of JSON text; raises ``json.JSONDecodeError`` for invalid JSON, and for JSON nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("It is nested too deeply", "", 0) from None


def shown(value: Any) -> str:
    """A caller's value for an error message: truncated, and without control characters."""
    if not isinstance(value, str):
        try:
            return reprlib.repr(value)
        except ValueError:  # an integer with more digits than Python converts
            return f"a very large {type(value).__name__}"
    text = value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…"
    return text if text.isprintable() else repr(text)
