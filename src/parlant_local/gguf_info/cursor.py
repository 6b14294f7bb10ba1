"""A bounds-checked file reader: constant memory, no mmap (a file truncated while it is mapped kills the process)."""

from __future__ import annotations

import struct
from typing import BinaryIO

from parlant_local.errors import InvalidModelError

__all__ = ["Cursor"]

_WINDOW = 1 << 18
_LENGTH = struct.Struct("<Q")


class Cursor:
    """Reads forward from the start of ``file``, ``size`` bytes long; reading past its end is an InvalidModelError."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._buffer = b""
        self._start = 0  # file offset of the buffer
        self._at = 0  # position in the buffer
        self.bytes_read = 0

    @property
    def offset(self) -> int:
        return self._start + self._at

    @property
    def remaining(self) -> int:
        return self._size - self.offset

    def _fill(self, count: int) -> None:
        """Buffers ``count`` bytes at the current offset."""
        if count > self.remaining:
            raise InvalidModelError(
                f"It is truncated: {count:,} bytes are declared at offset {self.offset:,}, "
                f"{max(self.remaining, 0):,} are left."
            )
        position = self.offset
        self._file.seek(position)
        self._buffer = self._file.read(max(count, min(_WINDOW, self._size - position)))
        self.bytes_read += len(self._buffer)
        self._start, self._at = position, 0
        if len(self._buffer) < count:
            raise InvalidModelError(f"It was truncated while it was read, at offset {position:,}.")

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._buffer):
            self._fill(count)
        chunk = self._buffer[self._at : self._at + count]
        self._at += count
        return chunk

    def skip(self, count: int) -> None:
        if count > self.remaining:
            raise InvalidModelError(
                f"It is truncated: {count:,} bytes are declared at offset {self.offset:,}, {self.remaining:,} are left."
            )
        self._at += count
        if self._at > len(self._buffer):
            self._start, self._at, self._buffer = self._start + self._at, 0, b""

    def unpack(self, layout: str) -> int | float | bool:
        value: int | float | bool = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value

    def u32(self) -> int:
        return int(self.unpack("<I"))

    def u64(self) -> int:
        return int(self.unpack("<Q"))

    def skip_strings(self, count: int) -> None:
        """Skips ``count`` length-prefixed strings; a vocabulary has hundreds of thousands, so the loop is inlined."""
        read, buffer, at = _LENGTH.unpack_from, self._buffer, self._at
        end = len(buffer) - 8
        for _ in range(count):
            if at > end:
                self._at = at
                self._check_overrun()
                self._fill(8)
                buffer, at = self._buffer, self._at
                end = len(buffer) - 8
            at += 8 + read(buffer, at)[0]
        self._at = at
        self._check_overrun()

    def count_distinct(self, count: int) -> int:
        """Like :meth:`skip_strings`; returns the number of distinct ones, counting each empty one (llama.cpp renames those)."""
        seen: set[int] = set()
        add, unhashed, empty = seen.add, self._string_at, 0
        read, buffer, at = _LENGTH.unpack_from, self._buffer, self._at
        end = len(buffer) - 8
        for _ in range(count):
            if at <= end and (stop := at + 8 + read(buffer, at)[0]) <= end + 8:
                chunk, at = buffer[at + 8 : stop], stop
            else:
                self._at = at
                chunk = unhashed()
                buffer, at = self._buffer, self._at
                end = len(buffer) - 8
            if chunk:
                add(hash(chunk))
            else:
                empty += 1
        self._at = at
        return len(seen) + empty

    def _string_at(self) -> bytes:
        return self.take(self.u64())

    def _check_overrun(self) -> None:
        """After an inlined loop: rejects an offset past the end of the file, drops a buffer that was overrun."""
        if self._start + self._at > self._size:
            raise InvalidModelError("It is truncated: a string is longer than the rest of the file.")
        if self._at > len(self._buffer):
            self._start, self._at, self._buffer = self._start + self._at, 0, b""
