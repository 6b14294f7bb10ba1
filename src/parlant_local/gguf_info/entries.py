"""Where each metadata entry of a GGUF lies, for who copies them byte for byte."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info.cursor import Cursor
from parlant_local.gguf_info.types import SCALAR_FORMATS, VALUE_ARRAY, VALUE_STRING

__all__ = ["Entry", "read_entries", "read_strings"]

_FIXED = 24
"""Bytes before the first entry: magic, version, two counts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value: the bytes from ``start`` to ``end`` of the file."""

    key: str
    kind: int
    """GGUF's number of the value's type."""
    item_kind: int | None
    """That of an array's items."""
    value: int
    """Where the value begins, after its type."""
    start: int
    end: int


def read_entries(path: Path) -> tuple[Entry, ...]:
    """The entries of one file that :func:`read_file_header` has found sound. Raises :class:`InvalidModelError`."""
    with path.open("rb", buffering=0) as file:
        cursor = Cursor(file, os.fstat(file.fileno()).st_size)
        cursor.skip(_FIXED - 8)
        return tuple(_entry(cursor) for _ in range(cursor.u64()))


def read_strings(path: Path, entry: Entry) -> Iterator[bytes]:
    """The strings of an array of them, one after the other."""
    with path.open("rb", buffering=0) as file:
        cursor = Cursor(file, os.fstat(file.fileno()).st_size)
        cursor.skip(entry.value + 4)
        for _ in range(cursor.u64()):
            yield cursor.take(cursor.u64())


def _entry(cursor: Cursor) -> Entry:
    start = cursor.offset
    key = cursor.take(cursor.u64()).decode("utf-8", "replace")
    kind = cursor.u32()
    value, item_kind = cursor.offset, None
    if kind == VALUE_STRING:
        cursor.skip(cursor.u64())
    elif kind == VALUE_ARRAY:
        item_kind, count = cursor.u32(), cursor.u64()
        if item_kind == VALUE_STRING:
            cursor.skip_strings(count)
        else:
            cursor.skip(count * _width(item_kind))
    else:
        cursor.skip(_width(kind))
    return Entry(key, kind, item_kind, value, start, cursor.offset)


def _width(kind: int) -> int:
    if (layout := SCALAR_FORMATS.get(kind)) is None:
        raise InvalidModelError(f"It has a value of the unknown type {kind}.")
    return struct.calcsize(layout)
