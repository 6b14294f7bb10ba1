"""Download progress. Written by transfer threads, read from anywhere."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

__all__ = ["DownloadProgress", "FileMeter", "FileProgress", "Meter", "Phase"]

Phase = Literal["waiting", "downloading", "unpacking", "converting", "verifying", "done"]
_WINDOW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class FileProgress:
    name: str
    done: int
    """Bytes downloaded, earlier sessions included."""
    total: int | None
    phase: Phase


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """A snapshot of a download. All sizes in bytes."""

    reference: str
    """The resolved reference, in canonical form."""
    files: tuple[FileProgress, ...]
    done: int
    total: int | None
    fetched: int
    """Bytes that came over the network since this download began."""
    rate: float
    """Bytes per second, over the last seconds."""
    seconds_left: float | None

    @property
    def finished(self) -> bool:
        return bool(self.files) and all(item.phase == "done" for item in self.files)


@dataclass(slots=True)
class FileMeter:
    name: str
    total: int | None = None
    done: int = 0
    phase: Phase = "waiting"

    def snapshot(self) -> FileProgress:
        return FileProgress(self.name, self.done, self.total, self.phase)


@dataclass(slots=True)
class Meter:
    reference: str
    files: list[FileMeter] = field(default_factory=list)
    _fetched: int = 0
    _lock: Lock = field(default_factory=Lock)
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def add_file(self, name: str, total: int | None) -> FileMeter:
        item = FileMeter(name, total)
        self.files.append(item)
        return item

    def fetched(self, item: FileMeter, count: int) -> None:
        with self._lock:
            item.done += count
            self._fetched += count

    def snapshot(self) -> DownloadProgress:
        now = time.monotonic()
        with self._lock:
            fetched = self._fetched
            self._samples.append((now, fetched))
            while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW_SECONDS:
                self._samples.popleft()
            since, before = self._samples[0]
        files = tuple(item.snapshot() for item in self.files)
        totals = [item.total for item in files]
        total = None if None in totals else sum(item or 0 for item in totals)
        done = sum(item.done for item in files)
        rate = (fetched - before) / (now - since) if now > since else 0.0
        left = (total - done) / rate if total is not None and rate > 0 else None
        return DownloadProgress(self.reference, files, done, total, fetched, rate, left)
