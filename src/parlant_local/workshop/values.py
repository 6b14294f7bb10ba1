"""Metadata values as they are typed, and as GGUF stores them."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

from parlant_local.errors import BadRequestError
from parlant_local.gguf_info.types import SCALAR_FORMATS, VALUE_ARRAY, VALUE_STRING
from parlant_local.storage import parse_json

__all__ = ["TYPE_NAMES", "Change", "encoded", "parsed_change", "text_change"]

TYPE_NAMES: Mapping[str, int] = {
    "u8": 0,
    "i8": 1,
    "u16": 2,
    "i16": 3,
    "u32": 4,
    "i32": 5,
    "f32": 6,
    "bool": 7,
    "str": VALUE_STRING,
    "u64": 10,
    "i64": 11,
    "f64": 12,
}
"""By the names that ``--set KEY:TYPE=VALUE`` takes."""
_ASSIGNMENT = re.compile(r"(?P<key>[^\s:=]+)(?::(?P<type>\[?[a-z0-9]+\]?))?=(?P<value>.*)", re.DOTALL)
_BOOLS = {"true": True, "false": False}
_BOOL, _INT32, _UINT32, _FLOAT32, _UINT64, _INT64 = 7, 5, 4, 6, 10, 11


class Change:
    """A key's new value as text, and its type where one was named."""

    __slots__ = ("item_kind", "key", "kind", "text")

    def __init__(self, key: str, text: str, kind: int | None = None, item_kind: int | None = None) -> None:
        self.key, self.text, self.kind, self.item_kind = key, text, kind, item_kind


def text_change(key: str, text: str) -> Change:
    """A string, whatever it looks like."""
    return Change(key, text, VALUE_STRING)


def parsed_change(assignment: str) -> Change:
    """``KEY=VALUE``, or ``KEY:TYPE=VALUE`` with a type such as ``u32``, ``str`` or ``[i32]`` (whose value is JSON)."""
    match = _ASSIGNMENT.fullmatch(assignment)
    if match is None:
        raise BadRequestError(f"{assignment[:80]!r} is not KEY=VALUE.", hint="Such as general.name='My model'.")
    named = match["type"]
    if named is None:
        return Change(match["key"], match["value"])
    item = named[1:-1] if named.startswith("[") and named.endswith("]") else None
    if (item or named) not in TYPE_NAMES:
        raise BadRequestError(f"{named!r} is not a type of metadata.", hint=f"Types: {', '.join(TYPE_NAMES)}, [TYPE].")
    if item is not None:
        return Change(match["key"], match["value"], VALUE_ARRAY, TYPE_NAMES[item])
    return Change(match["key"], match["value"], TYPE_NAMES[named])


def encoded(change: Change, kind: int | None, item_kind: int | None) -> bytes:
    """The whole entry. ``kind`` and ``item_kind``: what the key has now, which it keeps where no type was named.

    Raises :class:`BadRequestError` for a value that is not of its type.
    """
    if change.kind is not None:
        kind, item_kind = change.kind, change.item_kind
    elif kind is None:
        kind = _guessed(change.text)
    try:
        value = _array(change.text, item_kind) if kind == VALUE_ARRAY else _scalar(change.text, kind)
    except (ValueError, struct.error, OverflowError) as error:
        name = next((name for name, number in TYPE_NAMES.items() if number in (kind, item_kind)), "array")
        what = f"an array of {name}" if kind == VALUE_ARRAY else name
        raise BadRequestError(
            f"{change.key}: {change.text[:60]!r} is not {what} ({error}).", hint="Another type: --set KEY:TYPE=VALUE."
        ) from None
    return _string(change.key) + struct.pack("<I", kind) + value


def _guessed(text: str) -> int:
    if text in _BOOLS:
        return _BOOL
    try:
        number = int(text)
    except ValueError:
        pass
    else:
        if number >= 0:
            return _UINT32 if number < 1 << 32 else _UINT64
        return _INT32 if number >= -(1 << 31) else _INT64
    try:
        float(text)
    except ValueError:
        return VALUE_STRING
    return _FLOAT32


def _scalar(text: str, kind: int) -> bytes:
    if kind == VALUE_STRING:
        return _string(text)
    if kind == _BOOL:
        if text not in _BOOLS:
            raise ValueError("true or false")
        return struct.pack("<?", _BOOLS[text])
    layout = SCALAR_FORMATS[kind]
    return struct.pack(layout, float(text) if layout[1] in "fd" else int(text))


def _array(text: str, item_kind: int | None) -> bytes:
    values = parse_json(text)
    if not isinstance(values, list) or item_kind is None:
        raise ValueError("a JSON array")
    items = b"".join(_item(value, item_kind) for value in values)
    return struct.pack("<IQ", item_kind, len(values)) + items


def _item(value: Any, kind: int) -> bytes:
    if kind == VALUE_STRING:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a string")
        return _string(value)
    if isinstance(value, bool) != (kind == _BOOL) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not of that type")
    layout = SCALAR_FORMATS[kind]
    if layout[1] not in "fd?" and not isinstance(value, int):
        raise ValueError(f"{value!r} is not a whole number")
    return struct.pack(layout, value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
