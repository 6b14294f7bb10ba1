"""Static prefixes on disk: whole files or none, readable by their owner alone, checked before they are used.

One file per prefix: a line of JSON (format, key, sizes, digest of the rest), then the token ids, then the state. The key
holds all that a state depends on: the model's fingerprint, the cache's element types, rope and adapters, llama.cpp's version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from parlant_local.engine.prefixes import RetainedPrefix, State, Tokens
from parlant_local.observability import Logger

__all__ = ["PrefixDisk"]

_FORMAT = 1
_MAX_HEADER = 64 * 1024
_SUFFIX = ".prefix"


class PrefixDisk:
    """The folder of one engine's static prefixes. Reading is done where it is asked for; writing in the background."""

    def __init__(self, folder: Path, key: str, budget: int, logger: Logger) -> None:
        self._folder = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        self._key = key
        self._budget = budget
        self._logger = logger
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="parlant-local-prefixes")
        self._closed = False
        self._lock = threading.Lock()
        self.count = 0

    def entries(self) -> list[RetainedPrefix]:
        """What is there and of this key: tokens now, states when asked for."""
        found = []
        for left in self._folder.glob("*.part"):  # a writer was killed; one that lives has it open for seconds at most
            if not _is_alive(left.suffixes[-2:-1]):
                _unlink(left)
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                header, tokens, _ = self._open(path)
            except (OSError, ValueError) as error:
                self._logger.warning(f"A prefix on disk is not usable ({error}); removed.")
                _unlink(path)
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
        self._writer.submit(self._write, entry, state)

    def close(self) -> None:
        """Waits until what is queued has been written."""
        self._closed = True
        self._writer.shutdown(wait=True)

    # -- files --------------------------------------------------------------------------------------------------------

    def _write(self, entry: RetainedPrefix, state: State) -> None:
        body = hashlib.sha256(entry.tokens.tobytes())
        body.update(state.data)
        header = {
            "format": _FORMAT,
            "key": self._key,
            "group": entry.group,
            "tokens": int(entry.tokens.size),
            "state": int(state.nbytes),
            "sha256": body.hexdigest(),
        }
        name = hashlib.sha256(entry.tokens.tobytes()).hexdigest()[:32] + _SUFFIX
        path = self._folder / name
        temporary = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(state.nbytes + entry.tokens.nbytes + _MAX_HEADER)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(header).encode() + b"\n")
                file.write(entry.tokens.tobytes())
                file.write(state.data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            _unlink(temporary)
            self._logger.warning(
                f"A static prefix could not be kept on disk: {error.strerror}. Restarts will be colder."
            )
            return
        entry.read = self._reader(path)
        with self._lock:
            self.count = len(list(self._folder.glob(f"*{_SUFFIX}")))

    def _make_room(self, wanted: int) -> None:
        """Oldest read first, over all keys: what no engine asks for any more goes before what is in use."""
        files = [(path.stat(), path) for path in self._folder.parent.glob(f"*/*{_SUFFIX}")]
        used = sum(status.st_size for status, _ in files)
        for status, path in sorted(files, key=lambda pair: pair[0].st_mtime):
            if used + wanted <= self._budget:
                return
            _unlink(path)
            used -= status.st_size

    def _reader(self, path: Path) -> Any:
        def read() -> State | None:
            try:
                header, tokens, offset = self._open(path)
                state = np.fromfile(path, dtype=np.uint8, count=header["state"], offset=offset)
                body = hashlib.sha256(tokens.tobytes())
                body.update(state.data)
                if body.hexdigest() != header["sha256"]:
                    raise ValueError("its digest is wrong")
                os.utime(path)
            except (OSError, ValueError) as error:
                self._logger.warning(f"A prefix on disk is not usable ({error}); removed.")
                _unlink(path)
                return None
            return state

        return read

    def _open(self, path: Path) -> tuple[dict[str, Any], Tokens, int]:
        """Header, tokens, and where the state begins. Raises ValueError for anything that does not add up."""
        with path.open("rb") as file:
            line = file.readline(_MAX_HEADER)
            header = _header(line)
            if header["format"] != _FORMAT or header["key"] != self._key:
                raise ValueError("it was made by another version or for other settings")
            tokens = np.frombuffer(file.read(4 * header["tokens"]), dtype=np.int32)
        offset = len(line) + tokens.nbytes
        if tokens.size != header["tokens"] or path.stat().st_size != offset + header["state"]:
            raise ValueError("its size is wrong")
        return header, tokens, offset


_FIELDS = {"format": int, "key": str, "group": str, "tokens": int, "state": int, "sha256": str}


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except RecursionError:
        raise ValueError("its header is nested absurdly") from None
    if not isinstance(header, dict) or any(type(header.get(name)) is not kind for name, kind in _FIELDS.items()):
        raise ValueError("its header is not one")
    if header["tokens"] < 1 or header["state"] < 1:
        raise ValueError("its sizes are absurd")
    return header


def _is_alive(process: list[str]) -> bool:
    return bool(process) and process[0][1:].isdecimal() and psutil.pid_exists(int(process[0][1:]))


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
