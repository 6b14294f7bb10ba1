"""Values that any JSON body can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["sendable", "sendable_text"]


def sendable_text(text: str) -> str:
    """``text`` with unpaired surrogates replaced, which are no characters and have no UTF-8; pairs become what they mean."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def sendable(value: Any) -> Any:
    """``value`` with every text in it made sendable, keys included."""
    if isinstance(value, str):
        return sendable_text(value)
    if isinstance(value, Mapping):
        return {sendable(key): sendable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sendable(item) for item in value]
    return value
