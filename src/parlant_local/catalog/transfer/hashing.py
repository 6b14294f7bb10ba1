"""The digest of a file during its download: follows the contiguous bytes from the start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Event, Thread

__all__ = ["TrailingHash"]

_PIECE = 1 << 20


class TrailingHash:
    """Hashes ``path`` in a thread, as far as ``frontier()`` says that it is written. ``advance`` wakes it."""

    def __init__(self, path: Path, size: int, frontier: Callable[[], int], stop: Event, git_blob: bool = False) -> None:
        self._path, self._size, self._frontier, self._stop = path, size, frontier, stop
        self._digest = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if git_blob else None
        self._more = Condition()
        self._error: OSError | None = None
        self._thread = Thread(target=self._run, name="parlant-local-hash", daemon=True)
        self._thread.start()

    def advance(self) -> None:
        with self._more:
            self._more.notify()

    def result(self) -> tuple[str, str | None]:
        """(sha256, git blob id where asked for) once the file is whole; :class:`InterruptedError` if stopped before."""
        self.advance()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest(), self._git.hexdigest() if self._git else None

    def abandon(self) -> None:
        """Stops the thread, so that nothing holds the file open. The ``stop`` event must be set."""
        self.advance()
        self._thread.join()

    def _run(self) -> None:
        buffer = bytearray(_PIECE)
        view, at = memoryview(buffer), 0
        try:
            with self._path.open("rb", buffering=0) as file:
                while at < self._size:
                    if self._stop.is_set():
                        raise InterruptedError("The download was stopped.")
                    ready = self._frontier()
                    if ready <= at:
                        with self._more:
                            if self._frontier() <= at and not self._stop.is_set():
                                self._more.wait(0.1)
                        continue
                    count = file.readinto(view[: min(_PIECE, ready - at)]) or 0
                    self._digest.update(view[:count])
                    if self._git is not None:
                        self._git.update(view[:count])
                    at += count
        except OSError as error:
            self._error = error
