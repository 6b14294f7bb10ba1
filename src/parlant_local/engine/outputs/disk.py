"""Results on disk: a file each, written whole in the background, readable by their owner only, verified before use.

A file is named by its key, and begins with the digest of the rest. Prompts are in none of them; answers are.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from parlant_local.errors import StateFileError
from parlant_local.observability import Logger
from parlant_local.storage import evict, read_bytes, sweep, whole_file

__all__ = ["OutputDisk"]

_SUFFIX = ".output"
_MAX_BYTES = 16 << 20
_DIGEST = 32
_RECOUNT = 1024  # writes, after which others' files are counted again


class OutputDisk:
    """The folder of one engine: ``of`` is everything that its answers depend on besides the request."""

    def __init__(self, folder: Path, of: str, budget: int, logger: Logger) -> None:
        self._root = folder
        self._folder = folder / hashlib.sha256(of.encode()).hexdigest()[:32]
        self._budget = budget
        self._logger = logger
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="parlant-local-outputs")
        self._warned: set[str] = set()
        self._used: int | None = None
        """Bytes of all engines' files, as counted last and written since; small files are too many to be counted each time."""
        self._uncounted = 0
        sweep(self._folder)

    def read(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            data = read_bytes(path, _MAX_BYTES + _DIGEST)
        except FileNotFoundError:
            return None
        except StateFileError as error:
            self._discard(path, error.reason)
            return None
        digest, body = data[:_DIGEST], data[_DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            self._discard(path, "its checksum is wrong")
            return None
        with contextlib.suppress(OSError):  # a read-only folder works, too
            os.utime(path)
        return body

    def write(self, key: str, data: bytes) -> None:
        """Queues an entry; never blocks on the disk."""
        if len(data) <= min(_MAX_BYTES, self._budget):
            with contextlib.suppress(RuntimeError):  # closed, or the interpreter is exiting
                self._writer.submit(self._write, key, data)

    def remove(self, key: str) -> None:
        self._discard(self._path(key), "it holds no result")

    def close(self) -> None:
        """Waits until the queued entries are written."""
        self._writer.shutdown(wait=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _write(self, key: str, data: bytes) -> None:
        try:
            self._make_room(len(data) + _DIGEST)
            with whole_file(self._path(key), private=True) as file:
                file.write(hashlib.sha256(data).digest())
                file.write(data)
        except StateFileError as error:
            self._warn(f"Answers can't be kept in {self._folder}: {error.reason}. They are computed again.")

    def _make_room(self, needed: int) -> None:
        self._uncounted += 1
        if self._used is None or self._used + needed > self._budget or self._uncounted > _RECOUNT:
            self._used = evict(self._root, _SUFFIX, needed=needed, budget=self._budget, spare=self._budget // 10)
            self._uncounted = 0
        self._used += needed

    def _discard(self, path: Path, reason: str) -> None:
        with contextlib.suppress(OSError):  # it is not used either way, and warned about once
            path.unlink()
        self._warn(f"The answer on disk {path} is not usable ({reason}); it is computed again.")

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._logger.warning(message)
