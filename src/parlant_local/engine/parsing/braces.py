"""Objects without quotes around their keys, strings between marks: ``{city:<|"|>Paris<|"|>,days:[1,2]}``."""

from __future__ import annotations

import re
from typing import Any

from parlant_local.engine.parsing.literals import MoreNeeded, skip_space

__all__ = ["read_braces"]

_MAX_DEPTH = 32
_KEY = re.compile(r"\s*([^:,{}\[\]]{1,256}?)\s*:")
_PLAIN = re.compile(r"[^,{}\[\]]+")
_WORDS = {"true": True, "false": False, "null": None, "none": None}


def read_braces(text: str, index: int, quote: str, depth: int = 0) -> tuple[Any, int]:
    """The value at ``index`` and the index after it. Raises :class:`MoreNeeded`, or ``ValueError`` for an invalid value."""
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    index = skip_space(text, index)
    if index >= len(text):
        raise MoreNeeded
    if text[index] == "{":
        return _object(text, index + 1, quote, depth)
    if text[index] == "[":
        return _array(text, index + 1, quote, depth)
    if text.startswith(quote, index):
        end = text.find(quote, index + len(quote))
        if end < 0:
            raise MoreNeeded
        return text[index + len(quote) : end], end + len(quote)
    if quote.startswith(text[index:]):
        raise MoreNeeded
    plain = _PLAIN.match(text, index)
    if plain is None:
        raise ValueError("a value is missing")
    if plain.end() >= len(text):
        raise MoreNeeded
    return _word(plain[0].strip()), plain.end()


def _word(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for number in (int, float):
        try:
            value = number(text)
        except ValueError:
            continue
        return value if value == value and abs(value) != float("inf") else text
    return text


def _object(text: str, index: int, quote: str, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while True:
        index = _past_comma(text, index)
        if text[index] == "}":
            return found, index + 1
        key = _KEY.match(text, index)
        if key is None:
            if len(text) - index < 256 and "}" not in text[index:] and ":" not in text[index:]:
                raise MoreNeeded
            raise ValueError("a key is missing")
        found[key[1].strip("\"'")], index = read_braces(text, key.end(), quote, depth + 1)


def _array(text: str, index: int, quote: str, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while True:
        index = _past_comma(text, index)
        if text[index] == "]":
            return found, index + 1
        value, index = read_braces(text, index, quote, depth + 1)
        found.append(value)


def _past_comma(text: str, index: int) -> int:
    index = skip_space(text, index)
    if text.startswith(",", index):
        index = skip_space(text, index + 1)
    if index >= len(text):
        raise MoreNeeded
    return index
