"""The pictures that were made here: files in a folder of the home, each with a record of how it was made, for a while."""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from parlant_local.errors import RequestRefusedError, StateFileError
from parlant_local.observability import Logger
from parlant_local.server.images.formats import Format
from parlant_local.settings import ImageSettings
from parlant_local.storage import read_as, read_bytes, write_whole

__all__ = ["Entry", "Gallery", "new_id"]

_NAME = re.compile(r"([0-9a-f]{32})\.(json|png|jpeg|webp)\Z")
_MOST_KEPT = 5000
_RECORD_BYTES = 1 << 20
_RECORD_ROOM = 1024
_UNFINISHED_SECONDS = 3600.0  # a picture without its record may be another server's that is being written


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture, and how it was made."""

    id: str
    job: str
    owner: str
    """Empty where the server has no keys."""
    created: float
    form: Format
    size: int
    """Bytes."""
    width: int
    height: int
    model: str
    prompt: str
    negative_prompt: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    strength: float | None = None
    edited: bool = False
    """Whether it was made from another picture."""
    seconds: float | None = None

    @property
    def room(self) -> int:
        """Bytes that it takes with its record, about."""
        return self.size + _RECORD_ROOM + 4 * (len(self.prompt) + len(self.negative_prompt))

    @property
    def name(self) -> str:
        """Of its file, and of its address."""
        return f"{self.id}.{self.form}"


_ENTRY = TypeAdapter(Entry)


def new_id() -> str:
    """Whoever knows it may see the picture, as browsers send no keys for one: nobody guesses it."""
    return secrets.token_hex(16)


class Gallery:
    """Blocks on files; may be called from any thread. Several servers of one home see each other's pictures."""

    def __init__(
        self, folder: Path, settings: ImageSettings, logger: Logger, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder, self._settings, self._logger, self._clock = folder, settings, logger, clock
        self._entries: dict[str, Entry] = {}
        self._lock = threading.RLock()

    @property
    def keeps(self) -> bool:
        return self._settings.keep_hours > 0 and self._settings.keep_mb > 0

    def now(self) -> float:
        return self._clock()

    def open(self) -> None:
        """Reads what is there, and removes what is no longer kept."""
        with self._lock:
            self.sweep()
            self._remove_unrecorded()

    def add(self, entry: Entry, data: bytes) -> None:
        """Keeps a picture; older ones go where there is no room for it.

        Raises :class:`RequestRefusedError` where it is larger than all the room there is, :class:`StateFileError` where it can't be written.
        """
        most = self._settings.keep_mb * 1e6
        if entry.room > most:
            raise RequestRefusedError(
                507,
                f"The picture has {entry.size / 1e6:.1f} MB; {self._settings.keep_mb:g} MB are kept (images.keep_mb).",
                code="picture_too_large",
            )
        with self._lock:
            self.sweep(coming=entry.room)
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                write_whole(self._folder / entry.name, data, private=True)
                write_whole(self._record(entry.id), _ENTRY.dump_json(entry), private=True)
            except BaseException:
                self._unlink(self._folder / entry.name)
                raise
            self._entries[entry.id] = entry

    def entries(self, owner: str) -> list[Entry]:
        """An owner's pictures, the newest first."""
        with self._lock:
            self._read_new()
            found = [entry for entry in self._entries.values() if entry.owner == owner and not self._expired(entry)]
        return sorted(found, key=lambda entry: (entry.created, entry.id), reverse=True)

    def find(self, identity: str) -> Entry | None:
        with self._lock:
            if identity not in self._entries and _NAME.match(f"{identity}.json"):
                self._read(identity)
            entry = self._entries.get(identity)
        return None if entry is None or self._expired(entry) else entry

    def read(self, entry: Entry) -> bytes | None:
        """The file; None where it is gone."""
        try:
            return read_bytes(self._folder / entry.name, entry.size)
        except FileNotFoundError:
            return None
        except StateFileError as error:
            self._logger.warning(str(error))
            return None

    def remove(self, entries: Iterable[Entry]) -> int:
        with self._lock:
            return sum(self._remove(entry) for entry in entries)

    def sweep(self, coming: int = 0) -> int:
        """Removes what has expired, and the oldest ones beyond the room that is left for ``coming`` bytes; returns their number."""
        with self._lock:
            self._read_new()
            kept = sorted(self._entries.values(), key=lambda entry: entry.created)
            room = self._settings.keep_mb * 1e6 - coming - sum(entry.room for entry in kept)
            removed = 0
            for entry in kept:
                if self._expired(entry) or room < 0 or len(kept) - removed >= _MOST_KEPT:
                    room += entry.room
                    removed += self._remove(entry)
            return removed

    def next_expiry(self) -> float | None:
        """Seconds until the next picture expires; None where there is none."""
        with self._lock:
            oldest = min((entry.created for entry in self._entries.values()), default=None)
        return None if oldest is None else max(0.0, oldest + self._settings.keep_hours * 3600 - self._clock())

    def _expired(self, entry: Entry) -> bool:
        return self._clock() >= entry.created + self._settings.keep_hours * 3600

    def _read_new(self) -> None:
        """Records of other servers and of earlier runs; what others removed is forgotten."""
        there = {match[1] for match in self._names() if match[2] == "json"}
        for identity in there - self._entries.keys():
            self._read(identity)
        for identity in self._entries.keys() - there:
            del self._entries[identity]

    def _read(self, identity: str) -> None:
        try:
            entry = read_as(_ENTRY, self._record(identity), _RECORD_BYTES)
            if entry.id != identity:  # its own name is all that its file is sought by
                raise StateFileError(self._record(identity), "it belongs to another picture")
        except FileNotFoundError:
            return
        except StateFileError as error:
            self._logger.warning(f"{error} It is removed.")
            self._unlink(self._record(identity))
            return
        self._entries[identity] = entry

    def _names(self) -> list[re.Match[str]]:
        try:
            return [match for path in self._folder.iterdir() if (match := _NAME.match(path.name))]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._logger.warning(f"{self._folder} can't be read: {error.strerror}.")
            return []

    def _remove_unrecorded(self) -> None:
        for match in self._names():
            path = self._folder / match[0]
            with contextlib.suppress(FileNotFoundError):
                if match[1] not in self._entries and time.time() - path.stat().st_mtime > _UNFINISHED_SECONDS:
                    self._unlink(path)

    def _remove(self, entry: Entry) -> bool:
        self._unlink(self._folder / entry.name)
        self._unlink(self._record(entry.id))
        return self._entries.pop(entry.id, None) is not None

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._logger.warning(f"{path} can't be removed: {error.strerror}.")

    def _record(self, identity: str) -> Path:
        return self._folder / f"{identity}.json"
