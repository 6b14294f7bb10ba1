"""How a template writes values that are not strings."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Literal

__all__ = ["element_marks", "nested_notation", "spelt_words"]

_MAX_MARKED = 400  # characters of an object of two members

_WORDS = {"boolean": ("true", "true"), "false": ("false", "false"), "null": ("null", "null")}


def spelt_words(found: Mapping[str, str]) -> dict[str, str]:
    """JSON's literals as the template spells them."""
    words = {"true": "true", "false": "false", "null": "null"}
    for kind, (word, _) in _WORDS.items():
        text = found.get(kind, "").strip()
        if text in (word, word.capitalize(), "None"):
            words[word] = text
    return words


def nested_notation(
    array: str | None, inner: str | None, quote: str
) -> Literal["json", "python", "braces", "elements"] | None:
    """The notation of arrays and objects; None where it is unknown."""
    texts = [text.strip() for text in (array, inner) if text is not None]
    if not texts:
        return None
    if all(_parses(json.loads, text) for text in texts):
        return "json"
    if all(_parses(ast.literal_eval, text) for text in texts):
        return "python"
    if quote and inner and re.fullmatch(r"\{needle_inner:.*\}", inner.strip(), re.DOTALL):
        return "braces"
    return "elements" if inner and element_marks(inner) else None


def _parses(reader: object, text: str) -> bool:
    try:
        value = reader(text)  # type: ignore[operator]  # json.loads or ast.literal_eval
    except (ValueError, SyntaxError):
        return False
    return isinstance(value, list | dict)


def element_marks(text: str) -> tuple[str, str, str] | None:
    """The text before a key, after it, and before it in its closing tag."""
    if len(text) > _MAX_MARKED:
        return None
    found = re.fullmatch(
        r"\s*(?P<open>\S+?)needle_inner(?P<after>\S+?)needle-text(?P<close>\S+?)needle_inner(?P=after)"
        r"\s*(?P=open)needle_number(?P=after)71(?P=close)needle_number(?P=after)\s*",
        text,
    )
    return (found["open"], found["after"], found["close"]) if found else None
