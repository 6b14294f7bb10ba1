"""Static prefixes on disk: whole files or none, readable by their owner alone, checked before they are used.

One file per prefix: a line of JSON (format, key, sizes, digest of the rest), then the token ids, then the state. The key
holds all that a state depends on: the model's fingerprint, the cache's element types, rope and adapters, llama.cpp's version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil

from parlant_local.engine.prefixes import RetainedPrefix, State, Tokens
from parlant_local.errors import StateFileError
from parlant_local.observability import Logger
from parlant_local.storage import open_regular, parse_json, sweep, whole_file

__all__ = ["PrefixDisk"]

_FORMAT = 1
_MAX_HEADER = 64 * 1024
_MAX_TOKENS = 1 << 24
_SUFFIX = ".prefix"
_OLD_NAME = re.compile(r"\.(\d{1,9})\.part$")


class PrefixDisk:
    """The folder of one engine's static prefixes. Reading is done where it is asked for; writing in the background."""

    def __init__(self, folder: Path, key: str, budget: int, logger: Logger) -> None:
        self._folder = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        self._key = key
        self._budget = budget
        self._logger = logger
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="parlant-local-prefixes")
        self._closed = False
        self._told: set[str] = set()
        self.count = 0

    def entries(self) -> list[RetainedPrefix]:
        """What is there and of this key: tokens now, states when asked for."""
        sweep(self._folder)
        _sweep_old_names(self._folder)
        found = []
        for path in self._files(self._folder):
            try:
                with open_regular(path) as file:
                    header, tokens = self._read_head(file)
            except FileNotFoundError:
                continue  # another process made room
            except StateFileError as error:
                self._drop(path, error.reason)
                continue
            entry = RetainedPrefix(tokens, header["group"], None, None, static=True)
            entry.read = self._reader(path)
            found.append(entry)
        self.count = len(found)
        return found

    def write(self, entry: RetainedPrefix) -> None:
        """Queues an entry; nothing waits for the disk."""
        state = entry.state
        if self._closed or state is None or state.nbytes > self._budget:
            return
        with contextlib.suppress(RuntimeError):  # the interpreter ends, and takes no more work
            self._writer.submit(self._write, entry, state)

    def close(self) -> None:
        """Waits until what is queued has been written."""
        self._closed = True
        self._writer.shutdown(wait=True)

    # -- files --------------------------------------------------------------------------------------------------------

    def _write(self, entry: RetainedPrefix, state: State) -> None:
        try:
            tokens = entry.tokens.tobytes()
            body = hashlib.sha256(tokens)
            body.update(state.data)
            header = {
                "format": _FORMAT,
                "key": self._key,
                "group": entry.group,
                "tokens": int(entry.tokens.size),
                "state": int(state.nbytes),
                "sha256": body.hexdigest(),
            }
            path = self._folder / (hashlib.sha256(tokens).hexdigest()[:32] + _SUFFIX)
            self._make_room(state.nbytes + len(tokens) + _MAX_HEADER)
            with whole_file(path, private=True) as file:
                file.write(json.dumps(header).encode() + b"\n")
                file.write(tokens)
                file.write(state.data)
        except (StateFileError, MemoryError) as error:
            reason = error.reason if isinstance(error, StateFileError) else "no memory is left"
            self._warn(f"Static prefixes can't be kept on disk in {self._folder}: {reason}. Restarts will be colder.")
            return
        entry.read = self._reader(path)
        self.count = len(self._files(self._folder))

    def _make_room(self, wanted: int) -> None:
        """Oldest read first, over all keys: what no engine asks for any more goes before what is in use."""
        files = []
        for folder in _listed(self._folder.parent):
            for path in self._files(folder):
                with contextlib.suppress(OSError):  # another process makes room too
                    status = path.stat()
                    files.append((status.st_mtime, status.st_size, path))
        used = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if used + wanted <= self._budget:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                used -= size

    def _reader(self, path: Path) -> Callable[[], State | None]:
        def read() -> State | None:
            try:
                with open_regular(path) as file:
                    header, tokens = self._read_head(file)
                    state = np.fromfile(file, dtype=np.uint8, count=header["state"])
                body = hashlib.sha256(tokens.tobytes())
                body.update(state.data)
                if body.hexdigest() != header["sha256"]:
                    raise StateFileError(path, "its digest is wrong")
            except FileNotFoundError:
                return None  # another process made room
            except StateFileError as error:
                self._drop(path, error.reason)
                return None
            except MemoryError:
                self._warn(f"A prefix on disk can't be read: no memory is left for its {path.name}.")
                return None
            with contextlib.suppress(OSError):  # a folder that can only be read serves as well
                os.utime(path)
            return state

        return read

    def _read_head(self, file: BinaryIO) -> tuple[dict[str, Any], Tokens]:
        """Header and tokens, all sizes checked against the file's before anything is made room for; the state is next.

        Raises ValueError for anything that does not add up.
        """
        line, newline, _ = file.read(_MAX_HEADER).partition(b"\n")
        header = _header(line)
        if header["format"] != _FORMAT or header["key"] != self._key:
            raise ValueError("it was made by another version or for other settings")
        count, state = header["tokens"], header["state"]
        if not 1 <= count <= _MAX_TOKENS or not 1 <= state <= self._budget:
            raise ValueError("its sizes are absurd")
        if os.fstat(file.fileno()).st_size != len(line) + len(newline) + 4 * count + state:
            raise ValueError("its size is wrong")
        file.seek(len(line) + len(newline))
        tokens = np.fromfile(file, dtype=np.int32, count=count)
        if tokens.size != count:
            raise ValueError("it is cut short")
        return header, tokens

    def _files(self, folder: Path) -> list[Path]:
        return [path for path in _listed(folder) if path.name.endswith(_SUFFIX)]

    def _drop(self, path: Path, reason: str) -> None:
        """Remove what can't be used: it would be computed again anyway."""
        try:
            path.unlink()
            after = "removed"
        except OSError as error:
            after = f"it can't be removed either: {error.strerror}"
        self._warn(f"The prefix on disk {path} is not usable ({reason}); {after}.")

    def _warn(self, message: str) -> None:
        """Each message once: a full disk is full for every prefix."""
        if message not in self._told:
            self._told.add(message)
            self._logger.warning(message)


_FIELDS = {"format": int, "key": str, "group": str, "tokens": int, "state": int, "sha256": str}


def _header(line: bytes) -> dict[str, Any]:
    header = parse_json(line)
    if not isinstance(header, dict) or any(type(header.get(name)) is not kind for name, kind in _FIELDS.items()):
        raise ValueError("its header is not one")
    return header


def _sweep_old_names(folder: Path) -> None:
    """What a killed writer of the first version left."""
    for path in _listed(folder):
        if (match := _OLD_NAME.search(path.name)) and not psutil.pid_exists(int(match[1])):
            with contextlib.suppress(OSError):
                path.unlink()


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # not there, no folder, or not ours to read: there is nothing to use in it
        return []
