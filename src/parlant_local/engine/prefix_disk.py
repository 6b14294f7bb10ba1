"""Static prefixes on disk: written atomically, readable by their owner only, verified before use; one file per prefix.

Several processes may share the folder: whatever one of them removes or replaces meanwhile, another finds a whole file or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from parlant_local.engine.prefix_file import MAX_HEADER_BYTES, read_prefix, read_prefix_header, write_prefix
from parlant_local.engine.prefixes import RetainedPrefix, State
from parlant_local.errors import StateFileError
from parlant_local.observability import Logger
from parlant_local.storage import evict, open_regular, sweep

__all__ = ["PrefixDisk"]

_SUFFIX = ".prefix"
_LOOK_SECONDS = 2.0  # between two looks for what other processes have written
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
        self._known: set[str] = set()
        self._looked = 0.0
        self.count = 0

    def entries(self) -> list[RetainedPrefix]:
        """The entries with this key: their tokens now, their states on demand."""
        sweep(self._folder)
        _sweep_v1_scratch(self._folder)
        found = self._unknown_entries()
        self.count = len(found)
        return found

    def fresh(self) -> list[RetainedPrefix]:
        """Those that other processes have written since; looks every few seconds at most."""
        return [] if time.monotonic() - self._looked < _LOOK_SECONDS else self._unknown_entries()

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

    def _unknown_entries(self) -> list[RetainedPrefix]:
        self._looked = time.monotonic()
        paths = self._files(self._folder)
        unknown = [path for path in paths if path.name not in self._known]
        self._known = {path.name for path in paths}  # one that was evicted is news when it comes back
        return [entry for path in unknown if (entry := self._entry(path)) is not None]

    def _entry(self, path: Path) -> RetainedPrefix | None:
        try:
            with open_regular(path) as file:
                header, tokens = read_prefix_header(file, self._key, self._budget)
        except FileNotFoundError:
            return None  # evicted by another process
        except StateFileError as error:
            self._discard(path, error.reason)
            return None
        entry = RetainedPrefix(tokens, header["group"], None, None, static=True)
        entry.read = self._reader(path)
        return entry

    def _write(self, entry: RetainedPrefix, state: State) -> None:
        try:
            path = self._folder / (hashlib.sha256(entry.tokens.tobytes()).hexdigest()[:32] + _SUFFIX)
            # Over all keys: files of engines that nobody uses any more go first.
            needed = state.nbytes + entry.tokens.nbytes + MAX_HEADER_BYTES
            evict(self._folder.parent, _SUFFIX, needed=needed, budget=self._budget)
            self._known = {*self._known, path.name}
            write_prefix(path, self._key, entry.group, entry.tokens, state)
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
                _, state = read_prefix(path, self._key, self._budget)
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


def _sweep_v1_scratch(folder: Path) -> None:
    """Removes what killed writers of the first version left."""
    for path in _list_folder(folder):
        if (match := _V1_SCRATCH.search(path.name)) and not psutil.pid_exists(int(match[1])):
            with contextlib.suppress(OSError):  # it is in nobody's way
                path.unlink()


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # missing, no folder, or unreadable: there is nothing to use
        return []
