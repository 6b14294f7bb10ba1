"""JSON answers as pieces, so that what a schema forces and what the model chooses can weigh differently."""

import json
from dataclasses import dataclass
from typing import Any

from training.chat import ANSWER, Piece


@dataclass(frozen=True)
class Literal:
    """A string that stands in the prompt and is copied."""

    text: str


@dataclass(frozen=True)
class Style:
    """How a document is spaced and what its parts weigh."""

    comma: str = ","
    colon: str = ":"
    indent: int | None = None
    structure: float = ANSWER
    literal: float = ANSWER
    value: float = ANSWER


COMPACT = Style()
FORCED = Style(structure=0.0, literal=0.0)
"""A decoder bound to a schema writes keys and marks itself: only the values are the model's."""


_Part = tuple[str, str]
"""Text and what it is: `structure`, `literal` or `value`."""


def pieces_of(document: Any, style: Style) -> list[Piece]:
    """Writes a document; neighbours of one kind become one piece."""
    merged: list[_Part] = []
    for text, kind in _write(document, style, 0):
        if merged and merged[-1][1] == kind:
            merged[-1] = (merged[-1][0] + text, kind)
        else:
            merged.append((text, kind))
    weights = {"structure": style.structure, "literal": style.literal, "value": style.value}
    return [Piece(text, weights[kind]) for text, kind in merged]


def _write(node: Any, style: Style, depth: int) -> list[_Part]:
    if isinstance(node, dict | list):
        return _write_container(node, style, depth)
    if isinstance(node, Literal):
        return _write_string(node.text, "literal")
    if isinstance(node, str):
        return _write_string(node, "value")
    return [(json.dumps(node), "value")]


def _write_string(text: str, kind: str) -> list[_Part]:
    # The opening quote belongs to the structure, the closing one to the value: ending is the model's choice.
    return [('"', "structure"), (json.dumps(text, ensure_ascii=False)[1:], kind)]


def _write_container(node: dict[str, Any] | list[Any], style: Style, depth: int) -> list[_Part]:
    is_list = isinstance(node, list)
    # Whether a list goes on is the model's choice as well.
    own = "value" if is_list else "structure"
    opening, closing = "[]" if is_list else "{}"
    if not node:
        return [(opening + closing, "structure")]
    pad = "" if style.indent is None else "\n" + " " * (style.indent * (depth + 1))
    end = "" if style.indent is None else "\n" + " " * (style.indent * depth)
    comma = style.comma.rstrip() if style.indent is not None else style.comma
    out = [(opening + pad, "structure")]
    items = [("", item) for item in node] if isinstance(node, list) else list(node.items())
    for position, (key, item) in enumerate(items):
        if position:
            out.append((comma + pad, own))
        if not is_list:
            out.append((json.dumps(key, ensure_ascii=False) + style.colon, "structure"))
        out += _write(item, style, depth + 1)
    out.append((end + closing, own))
    return out
