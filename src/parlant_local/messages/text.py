"""Text that can be stored and sent: surrogates mended, JSON read, values shown in messages about them."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from typing import Any

__all__ = ["json_value", "mend", "shown", "whole_text", "whole_value"]

_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")
_MOST_SHOWN = 200


def whole_text(text: str) -> str:
    """``text`` with unpaired surrogates, which are no characters, replaced: nothing that is sent or stored can hold them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub(_whole, text)  # a call for each lets other threads run meanwhile
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
    """The value of JSON text; raises ``json.JSONDecodeError`` for all that is none, and for what nests deeper than can be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("It nests too deeply", "", 0) from None


def shown(value: Any) -> str:
    """A value that somebody gave, for a message about it: cut, and nothing in it that moves a terminal's cursor."""
    if not isinstance(value, str):
        try:
            return reprlib.repr(value)
        except ValueError:  # a number of more digits than Python writes
            return f"a very large {type(value).__name__}"
    text = value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}…"
    return text if text.isprintable() else repr(text)
