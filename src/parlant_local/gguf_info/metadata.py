"""Reads a GGUF's metadata, within one budget for the whole file."""

from __future__ import annotations

import struct

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info.cursor import Cursor
from parlant_local.gguf_info.header import Elided, MetadataValue
from parlant_local.gguf_info.types import SCALAR_FORMATS, VALUE_ARRAY, VALUE_STRING

__all__ = ["MetadataReader", "check_count", "read_string"]

_MAX_KEY_BYTES = 1 << 10
_MAX_STRINGS = 1 << 21  # of the whole file; the largest vocabularies have 2^18 tokens and twice as many merges
_MAX_TOKENS = 1 << 20
_MAX_HEADER = 1 << 28
_KEEP_STRING_BYTES = 1 << 20
_KEEP_NUMBERS = 4096
_KEEP_STRINGS = 256
_KEEP_BYTES = 1 << 23  # of the whole file
_TOKENS = "tokenizer.ggml.tokens"


def check_count(what: str, count: int, limit: int, min_bytes: int, cursor: Cursor) -> None:
    if count > limit or count * min_bytes > cursor.remaining:
        raise InvalidModelError(
            f"It declares {count:,} {what}: more than a file of its size can hold, or than the limit of {limit:,}."
        )


def read_string(cursor: Cursor, limit: int, what: str) -> str:
    length = cursor.u64()
    if length > limit:
        raise InvalidModelError(f"It declares {what} of {length:,} bytes; the limit is {limit:,}.")
    return cursor.take(length).decode("utf-8", "replace")


class MetadataReader:
    """Reads keys and values within one budget for the whole file, so that many small values don't add up."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._strings_left = _MAX_STRINGS
        self._bytes_left = _KEEP_BYTES

    def read(self, count: int) -> dict[str, MetadataValue]:
        cursor = self._cursor
        metadata: dict[str, MetadataValue] = {}
        for _ in range(count):
            key = read_string(cursor, _MAX_KEY_BYTES, "a metadata key")
            if not key:
                raise InvalidModelError("It has a metadata key without a name.")
            if key in metadata:
                raise InvalidModelError(f"The metadata key {key!r} is duplicated.")
            metadata[key] = self._value(cursor.u32(), key)
            if cursor.offset > _MAX_HEADER:
                raise InvalidModelError(f"Its metadata is larger than {_MAX_HEADER:,} bytes.")
        return metadata

    def _value(self, kind: int, key: str) -> MetadataValue:
        cursor = self._cursor
        if (layout := SCALAR_FORMATS.get(kind)) is not None:
            return cursor.unpack(layout)
        if kind == VALUE_STRING:
            length = cursor.u64()
            if length > _KEEP_STRING_BYTES or not self._reserve(length):
                cursor.skip(length)
                return Elided("string", length)
            return cursor.take(length).decode("utf-8", "replace")
        if kind == VALUE_ARRAY:
            return self._array(key)
        raise InvalidModelError(f"The metadata key {key!r} has a value of the unknown type {kind}.")

    def _array(self, key: str) -> MetadataValue:
        cursor = self._cursor
        kind, count = cursor.u32(), cursor.u64()
        if (layout := SCALAR_FORMATS.get(kind)) is not None:
            width = struct.calcsize(layout)
            if count > _KEEP_NUMBERS or not self._reserve(8 * count):
                cursor.skip(count * width)
                return Elided("array", count)
            return struct.unpack(f"<{count}{layout[1]}", cursor.take(count * width))
        if kind != VALUE_STRING:
            raise InvalidModelError(f"The metadata key {key!r} has an array of the unsupported type {kind}.")
        check_count(f"strings under {key!r}", count, self._strings_left, 8, cursor)
        self._strings_left -= count
        if key == _TOKENS:
            return self._tokens(count)
        if count > _KEEP_STRINGS:
            cursor.skip_strings(count)
            return Elided("array", count)
        return tuple(self._kept_string(key) for _ in range(count))

    def _tokens(self, count: int) -> Elided:
        """Duplicate tokens make llama.cpp abort the process."""
        check_count("tokens", count, _MAX_TOKENS, 8, self._cursor)
        if (different := self._cursor.count_distinct(count)) != count:
            raise InvalidModelError(f"{_TOKENS} has {count - different:,} duplicate tokens.")
        return Elided("array", count)

    def _kept_string(self, key: str) -> str:
        text = read_string(self._cursor, _KEEP_STRING_BYTES, f"a string under {key!r}")
        if not self._reserve(len(text)):
            raise InvalidModelError(f"The strings under {key!r} are longer than {_KEEP_BYTES:,} bytes together.")
        return text

    def _reserve(self, size: int) -> bool:
        """Reserves ``size`` more bytes to keep; False where the budget is exhausted."""
        if size > self._bytes_left:
            return False
        self._bytes_left -= size
        return True
