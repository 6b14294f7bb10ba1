"""The downloaded ranges of a file: an append-only journal beside it, exact even after a kill.

First line: what the file is (url, etag, size, sha256). Every further line: one range that has been written. A line is
appended after its bytes, so the journal never claims more than the file has; a truncated line is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Annotated, Self

from pydantic import Field, TypeAdapter

from parlant_local.errors import StateFileError
from parlant_local.storage import parse_json, read_text, validated, write_whole

__all__ = ["Identity", "Journal", "bytes_done"]

_VERSION = 1
_MAX_BYTES = 64 << 20  # two million ranges; each run begins with a journal of few
_LINE = re.compile(r"^([0-9]{1,19}) ([0-9]{1,19})$")
Range = tuple[int, int]  # from, to (exclusive)


@dataclass(frozen=True, slots=True)
class Identity:
    """What is being downloaded. A partial file of another identity can't be resumed."""

    url: str
    size: Annotated[int, Field(ge=1, le=2**63 - 1)]
    etag: str | None = None
    """As the server that has the bytes gave it."""
    sha256: str | None = None
    """As published, where it was."""

    def continues(self, other: Identity) -> bool:
        """Whether a partial file of ``other`` can be completed as this one."""
        if self.size != other.size or self.sha256 != other.sha256:
            return False
        if self.sha256 is not None:
            return True  # the same published content from any server; the digest verifies it
        if self.etag is not None and other.etag is not None:
            return self.etag == other.etag
        return self.url == other.url


@cache
def _identities() -> TypeAdapter[Identity]:
    return TypeAdapter(Identity)


class Journal:
    """The journal of one partial file; thread-safe."""

    def __init__(self, path: Path, identity: Identity, ranges: Iterable[Range] = ()) -> None:
        self.path = path
        self.identity = identity
        self._ranges = merge(ranges)
        self._lock = Lock()
        lines = [
            json.dumps({"version": _VERSION, **asdict(identity)}),
            *(f"{start} {end}" for start, end in self._ranges),
        ]
        write_whole(path, "\n".join(lines) + "\n")
        self._file = path.open("ab", buffering=0)

    @classmethod
    def load(cls, path: Path) -> tuple[Identity, list[Range]] | None:
        """The journal on disk, or None if there is no readable one: the download then starts over."""
        try:
            header, *lines = read_text(path, _MAX_BYTES).split("\n")
            data = parse_json(header)
            if not isinstance(data, dict) or data.pop("version", None) != _VERSION:
                return None
            identity = validated(_identities(), data)
        except (FileNotFoundError, StateFileError, ValueError):
            return None
        ranges = []
        for line in lines[:-1]:  # what follows the last newline is truncated
            if (match := _LINE.match(line)) and int(match[1]) < int(match[2]) <= identity.size:
                ranges.append((int(match[1]), int(match[2])))
        return identity, merge(ranges)

    def add(self, start: int, end: int) -> None:
        """Record that these bytes are written."""
        with self._lock:
            self._file.write(b"%d %d\n" % (start, end))
            self._ranges = _insert(self._ranges, (start, end))

    @property
    def done(self) -> int:
        with self._lock:
            return sum(end - start for start, end in self._ranges)

    @property
    def frontier(self) -> int:
        """Contiguous bytes from the start."""
        with self._lock:
            return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    def missing(self) -> list[Range]:
        with self._lock:
            gaps, at = [], 0
            for start, end in self._ranges:
                if start > at:
                    gaps.append((at, start))
                at = end
            if at < self.identity.size:
                gaps.append((at, self.identity.size))
            return gaps

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def merge(ranges: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _insert(ranges: list[Range], new: Range) -> list[Range]:
    """``ranges`` with ``new``, which usually continues one of the few that there are."""
    for at, (start, end) in enumerate(ranges):
        if end == new[0] and (at + 1 == len(ranges) or ranges[at + 1][0] > new[1]):
            ranges[at] = (start, new[1])
            return ranges
    return merge([*ranges, new])


def bytes_done(path: Path) -> int:
    """Bytes that the journal at ``path`` counts; 0 if there is none."""
    loaded = Journal.load(path)
    return sum(end - start for start, end in loaded[1]) if loaded else 0
