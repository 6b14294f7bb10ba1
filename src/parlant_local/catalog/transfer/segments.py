"""A file in pieces: which are asked for, and how they are written."""

from __future__ import annotations

import os
from collections import deque
from threading import Lock

from parlant_local.catalog.transfer.http import HttpResponse

__all__ = ["Segment", "content_start", "content_total", "split", "write_all"]

_MIN_SEGMENT = 8 << 20
_MAX_SEGMENT = 64 << 20


def write_all(descriptor: int, view: memoryview, at: int) -> None:
    """A disk that becomes full takes a part of a write without complaint; only the next one fails."""
    while view:
        count = _write_at(descriptor, view, at)
        view, at = view[count:], at + count


def _seek_and_write(descriptor: int, view: memoryview, at: int) -> int:
    with _seeking:
        os.lseek(descriptor, at, os.SEEK_SET)
        return os.write(descriptor, view)


_seeking = Lock()
_write_at = getattr(os, "pwrite", _seek_and_write)  # Windows has none


class Segment:
    """A range in the works; ``at`` moves forward as bytes are written."""

    __slots__ = ("at", "end", "idle")

    def __init__(self, start: int, end: int) -> None:
        self.at, self.end = start, end
        self.idle = 0

    def idle_attempts(self) -> int:
        """Tries in a row that brought next to nothing."""
        return self.idle


def split(missing: list[tuple[int, int]], connections: int) -> deque[Segment]:
    """Missing ranges in pieces small enough that connections finish together, large enough that requests don't count."""
    left = sum(end - start for start, end in missing)
    piece = min(max(left // (connections * 4), _MIN_SEGMENT), _MAX_SEGMENT)
    segments: deque[Segment] = deque()
    for start, end in missing:
        for at in range(start, end, piece):
            segments.append(Segment(at, min(at + piece, end)))
    return segments


def content_total(response: HttpResponse) -> int | None:
    _, _, total = (response.headers.get("Content-Range") or "").partition("/")
    return int(total) if total.isdigit() else None


def content_start(response: HttpResponse) -> int | None:
    value = (response.headers.get("Content-Range") or "").removeprefix("bytes").strip()
    start = value.partition("-")[0]
    return int(start) if start.isdigit() else None
