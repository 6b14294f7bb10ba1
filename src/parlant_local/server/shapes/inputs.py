"""Texts or token ids, one or several. Distinguished by type: as a union, every invalid item would be reported
four times."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = ["Inputs", "TokenIds"]


def _ids(value: Any) -> list[int]:
    kinds = set(map(type, value)) if isinstance(value, list) else {None}
    if kinds <= {int}:
        return list(value)
    if kinds <= {int, float} and all(item == item // 1 for item in value):  # JSON has one number type: 3.0 is 3
        return [int(item) for item in value]
    raise PydanticCustomError("token_ids", "Input should be a list of whole numbers")


def _inputs(value: Any) -> list[str | list[int]]:
    if isinstance(value, str):
        return [value]
    kinds = set(map(type, value)) if isinstance(value, list) else {None}
    if kinds <= {str}:
        return list(value)
    if kinds <= {int, float}:
        return [_ids(value)]
    if kinds == {list}:
        return [_ids(item) for item in value]
    raise PydanticCustomError(
        "inputs", "Input should be a string, a list of strings, a list of token ids, or a list of such lists"
    )


_TEXTS = {"type": "array", "items": {"type": "string"}}
_IDS = {"type": "array", "items": {"type": "integer"}}

TokenIds = Annotated[list[int], PlainValidator(_ids), WithJsonSchema(_IDS)]

Inputs = Annotated[
    list[str | list[int]],
    PlainValidator(_inputs),
    WithJsonSchema({"anyOf": [{"type": "string"}, _TEXTS, _IDS, {"type": "array", "items": _IDS}]}),
]
"""Always a list, of texts or of lists of ids."""
