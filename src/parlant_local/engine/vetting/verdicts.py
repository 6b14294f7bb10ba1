"""Verdicts of trials by the file's digest; and the digests, so that a large file is hashed once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from parlant_local.engine.loading import LoadControl
from parlant_local.errors import StateFileError
from parlant_local.forking import in_forked_child
from parlant_local.gguf_info import sha256_file
from parlant_local.observability import Logger
from parlant_local.storage import read_as, write_whole

__all__ = ["Verdicts"]

_MAX_ENTRIES = 1000
_MAX_BYTES = 1 << 24  # more than a thousand paths of maximum length
_STATE = TypeAdapter(dict[str, dict[str, Any]])
_lock = threading.Lock()
_in_memory: dict[Path | None, dict[str, dict[str, Any]]] = {}


@in_forked_child
def _after_fork() -> None:
    """A fork does not copy the thread that holds the lock."""
    global _lock
    _lock = threading.Lock()


class Verdicts:
    """Stored in ``file``; without one, in memory for the life of the process."""

    def __init__(self, file: Path | None, logger: Logger) -> None:
        self._file = file
        self._logger = logger

    def found(self, key: str) -> str | None:
        """A trial's verdict: empty for a file that passed, else how it crashed; None where there was no trial."""
        with self._state(write=False) as state:
            verdict = state["verdicts"].get(key)
        return verdict if isinstance(verdict, str) else None

    def record(self, key: str, died: str) -> None:
        with self._state(write=True) as state:
            state["verdicts"][key] = died

    def digest(self, path: Path, control: LoadControl) -> str:
        """sha256 of a file. Hashed anew whenever size, times or inode differ, which no writer can restore all together."""
        status = path.stat()
        stamp = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        name = str(path.absolute())
        with self._state(write=False) as state:
            known = state["digests"].get(name)
        if isinstance(known, dict) and known.get("stamp") == stamp and isinstance(known.get("sha256"), str):
            return str(known["sha256"])
        sha256 = sha256_file(path, progress=lambda _: control.check())
        with self._state(write=True) as state:
            state["digests"][name] = {"stamp": stamp, "sha256": sha256}
        return sha256

    @contextmanager
    def _state(self, *, write: bool) -> Iterator[dict[str, dict[str, Any]]]:
        with _lock:
            state = self._read()
            yield state
            if write:
                for part in state.values():
                    while len(part) > _MAX_ENTRIES:
                        del part[next(iter(part))]
                self._write(state)

    def _read(self) -> dict[str, dict[str, Any]]:
        kept = _in_memory.setdefault(self._file, {"verdicts": {}, "digests": {}})
        if self._file is None:
            return kept
        try:
            data = read_as(_STATE, self._file, _MAX_BYTES)
            return {part: data[part] for part in kept}
        except FileNotFoundError:
            return kept
        except (StateFileError, KeyError) as error:
            self._logger.warning(f"{self._file} can't be used ({error}); files are tried again.")
            return kept

    def _write(self, state: dict[str, dict[str, Any]]) -> None:
        _in_memory[self._file] = state
        if self._file is None:
            return
        try:
            write_whole(self._file, json.dumps(state))
        except StateFileError as error:
            self._logger.warning(f"{error} Files are tried again next time.")
