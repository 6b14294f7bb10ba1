"""Static prefixes on disk: written atomically, readable by their owner only, verified before use.

One file per prefix: a line of JSON (format, key, sizes, digest of the rest), then the token ids, then the state. The key
holds everything that a state depends on: the model's fingerprint, the cache's element types, rope and adapters, llama.cpp's version.
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
from parlant_local.storage import evict, open_regular, parse_json, sweep, whole_file

__all__ = ["PrefixDisk"]

_FORMAT = 1
_MAX_HEADER_BYTES = 64 * 1024
_MAX_TOKENS = 1 << 24
_SUFFIX = ".prefix"
_V1_SCRATCH = re.compile(r"\.(\d{1,9})\.part$")


class PrefixDisk:
    """The folder of one engine's static prefixes. Reads on the caller's thread, writes in the background."""

    def __init__(self, folder: Path, key: str, budget: int, logger: Logger) -> None:
        self._folder = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        self._key = key
        self._budget = budget
        self._logger = logger
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="parlant-local-prefixes")
        self._closed = False
        self._warned: set[str] = set()
        self.count = 0

    def entries(self) -> list[RetainedPrefix]:
        """The entries with this key: their tokens now, their states on demand."""
        sweep(self._folder)
        _sweep_v1_scratch(self._folder)
        found = []
        for path in self._files(self._folder):
            try:
                with open_regular(path) as file:
                    header, tokens = self._read_header(file)
            except FileNotFoundError:
                continue  # evicted by another process
            except StateFileError as error:
                self._discard(path, error.reason)
                continue
            entry = RetainedPrefix(tokens, header["group"], None, None, static=True)
            entry.read = self._reader(path)
            found.append(entry)
        self.count = len(found)
        return found

    def write(self, entry: RetainedPrefix) -> None:
        """Queues an entry; never blocks on the disk."""
        state = entry.state
        if self._closed or state is None or state.nbytes > self._budget:
            return
        with contextlib.suppress(RuntimeError):  # the interpreter is exiting
            self._writer.submit(self._write, entry, state)

    def close(self) -> None:
        """Waits until the queued entries are written."""
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
            # Over all keys: files of engines that nobody uses any more go first.
            needed = state.nbytes + len(tokens) + _MAX_HEADER_BYTES
            evict(self._folder.parent, _SUFFIX, needed=needed, budget=self._budget)
            with whole_file(path, private=True) as file:
                file.write(json.dumps(header).encode() + b"\n")
                file.write(tokens)
                file.write(state.data)
        except (StateFileError, MemoryError) as error:
            reason = error.reason if isinstance(error, StateFileError) else "no memory is left"
            self._warn(
                f"Static prefixes can't be saved in {self._folder}: {reason}. After a restart they are computed again."
            )
            return
        entry.read = self._reader(path)
        self.count = len(self._files(self._folder))

    def _reader(self, path: Path) -> Callable[[], State | None]:
        def read() -> State | None:
            try:
                with open_regular(path) as file:
                    header, tokens = self._read_header(file)
                    state = np.fromfile(file, dtype=np.uint8, count=header["state"])
                body = hashlib.sha256(tokens.tobytes())
                body.update(state.data)
                if body.hexdigest() != header["sha256"]:
                    raise StateFileError(path, "its checksum is wrong")
            except FileNotFoundError:
                return None  # evicted by another process
            except StateFileError as error:
                self._discard(path, error.reason)
                return None
            except MemoryError:
                self._warn(f"The prefix on disk {path.name} can't be read: out of memory.")
                return None
            with contextlib.suppress(OSError):  # a read-only folder works, too
                os.utime(path)
            return state

        return read

    def _read_header(self, file: BinaryIO) -> tuple[dict[str, Any], Tokens]:
        """Header and tokens; all sizes are checked against the file's before anything is allocated. The state follows.

        Raises ValueError for inconsistent contents.
        """
        line, newline, _ = file.read(_MAX_HEADER_BYTES).partition(b"\n")
        header = _parsed_header(line)
        if header["format"] != _FORMAT or header["key"] != self._key:
            raise ValueError("it was made by another version or for other settings")
        count, state = header["tokens"], header["state"]
        if not 1 <= count <= _MAX_TOKENS or not 1 <= state <= self._budget:
            raise ValueError("its sizes are out of range")
        if os.fstat(file.fileno()).st_size != len(line) + len(newline) + 4 * count + state:
            raise ValueError("its size is wrong")
        file.seek(len(line) + len(newline))
        tokens = np.fromfile(file, dtype=np.int32, count=count)
        if tokens.size != count:
            raise ValueError("it is truncated")
        return header, tokens

    def _files(self, folder: Path) -> list[Path]:
        return [path for path in _list_folder(folder) if path.name.endswith(_SUFFIX)]

    def _discard(self, path: Path, reason: str) -> None:
        """Removes an unusable file: its prefix is computed again anyway."""
        try:
            path.unlink()
            result = "removed"
        except OSError as error:
            result = f"it can't be removed either: {error.strerror}"
        self._warn(f"The prefix on disk {path} is not usable ({reason}); {result}.")

    def _warn(self, message: str) -> None:
        """Logs each message once: a full disk affects every prefix."""
        if message not in self._warned:
            self._warned.add(message)
            self._logger.warning(message)


_FIELDS = {"format": int, "key": str, "group": str, "tokens": int, "state": int, "sha256": str}


def _parsed_header(line: bytes) -> dict[str, Any]:
    header = parse_json(line)
    if not isinstance(header, dict) or any(type(header.get(name)) is not kind for name, kind in _FIELDS.items()):
        raise ValueError("its header is invalid")
    return header


def _sweep_v1_scratch(folder: Path) -> None:
    """Removes what killed writers of the first version left."""
    for path in _list_folder(folder):
        if (match := _V1_SCRATCH.search(path.name)) and not psutil.pid_exists(int(match[1])):
            with contextlib.suppress(OSError):
                path.unlink()


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # missing, no folder, or unreadable: there is nothing to use
        return []
