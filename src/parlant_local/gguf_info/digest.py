"""sha256 of files, in chunks, with progress and cancellation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Event

__all__ = ["git_blob_sha1", "sha256_file"]

_CHUNK = 1 << 20


def sha256_file(path: Path, *, progress: Callable[[int], None] | None = None, stop: Event | None = None) -> str:
    """Hex sha256 of a file. ``progress`` gets the size of each chunk; a set ``stop`` raises :class:`InterruptedError`."""
    return _hash(hashlib.sha256(), path, progress, stop)


def git_blob_sha1(path: Path) -> str:
    """The id that git gives a file's content (hubs report it for files outside LFS)."""
    digest = hashlib.sha1(usedforsecurity=False)
    digest.update(b"blob %d\0" % path.stat().st_size)
    return _hash(digest, path, None, None)


def _hash(digest: hashlib._Hash, path: Path, progress: Callable[[int], None] | None, stop: Event | None) -> str:
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            if stop is not None and stop.is_set():
                raise InterruptedError(f"Hashing {path} was stopped.")
            digest.update(view[:count])
            if progress is not None:
                progress(count)
    return digest.hexdigest()
