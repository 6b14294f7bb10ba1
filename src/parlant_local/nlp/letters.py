"""Letters as themselves, where the host writes them as escapes.

The host writes conditions and actions as JSON in ASCII and puts that into text, or once more into JSON; the conversation is a
list of such JSON texts, printed as Python does. So a model reads ``\\u00e9`` or ``\\\\u00e9`` for é, and seven characters for each of
Chinese. None of them is data that comes back: what answers repeat of conditions, actions and guidelines is never read, and
everything else that answers are bound to (ids, names, choices, approved replies) is taken from the host's own values, not from
printed text. What a customer typed like that has more backslashes by then, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from unicodedata import category

__all__ = ["letters_in_prompt", "letters_in_schema"]

_FIRST, _SECOND = "[dD][89abAB][0-9a-fA-F]{2}", "[dD][c-fC-F][0-9a-fA-F]{2}"
"""What a letter outside the first plane is written as."""


def _escapes(backslashes: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\\){backslashes}u(?:({_FIRST}){backslashes}u({_SECOND})|([0-9a-fA-F]{{4}}))")


_PRINTED, _ESCAPED = _escapes(r"\\{1,2}"), _escapes(r"\\")
_REPEATED = frozenset({"condition", "action", "guidelines"})


def letters_in_prompt(text: str) -> str:
    return _PRINTED.sub(_letters, text)


def letters_in_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The constants of ``schema`` that repeat what the prompt says; ``schema`` itself where there are none."""
    changed: Mapping[str, Any] = _walked(schema, repeats=False)
    return schema if changed == schema else changed


def _walked(node: Any, *, repeats: bool) -> Any:
    if isinstance(node, list):
        return [_walked(item, repeats=repeats) for item in node]
    if not isinstance(node, Mapping):
        return node
    if repeats and isinstance(constant := node.get("const"), str):
        return {**node, "const": _ESCAPED.sub(_letters, constant)}
    return {
        key: {name: _walked(part, repeats=repeats or name in _REPEATED) for name, part in value.items()}
        if key == "properties"
        else _walked(value, repeats=repeats)
        for key, value in node.items()
    }


def _letters(found: re.Match[str]) -> str:
    """The letter; what is none, or half of one, stays as it was."""
    codes = "".join(found.groups(default=""))
    try:
        letter = bytes.fromhex(codes).decode("utf-16-be")
    except UnicodeDecodeError:
        return found[0]
    return letter if not letter.isascii() and (letter.isprintable() or category(letter) == "Zs") else found[0]
