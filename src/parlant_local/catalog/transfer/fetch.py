"""Downloads one file: retried until it is complete, put in place only when verified."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from threading import Event

from parlant_local.catalog.disk import human_bytes
from parlant_local.catalog.transfer.journal import bytes_done
from parlant_local.catalog.transfer.location import Location
from parlant_local.catalog.transfer.meter import FileMeter, Meter
from parlant_local.catalog.transfer.rate import RateLimit
from parlant_local.catalog.transfer.reception import ChangedError, Reception
from parlant_local.catalog.transfer.retrying import retrying
from parlant_local.catalog.transfer.task import FileTask, Making
from parlant_local.catalog.weights import check_header
from parlant_local.errors import (
    CatalogError,
    DiskSpaceError,
    HubBusyError,
    TransferError,
    VerificationError,
)
from parlant_local.gguf_info import git_blob_sha1, sha256_file
from parlant_local.settings import DownloadSettings
from parlant_local.storage import locked, publish

__all__ = ["FileFetch"]

_MAX_RESTARTS = 2


class FileFetch:
    """One run of one :class:`FileTask`. Blocking; ``abort`` from another thread stops it, resumable."""

    def __init__(
        self, task: FileTask, settings: DownloadSettings, meter: Meter, item: FileMeter, rate: RateLimit
    ) -> None:
        self._task, self._settings, self._meter, self._item = task, settings, meter, item
        self._stop = Event()
        self._aborts: list[Callable[[], None]] = []
        self._new_reception = partial(Reception, task, settings, meter, item, rate, Location(task.url, task.headers))
        self._reception = self._new_reception()

    def abort(self) -> None:
        """End the run, from any thread; :meth:`run` raises :class:`TransferError`."""
        self._stop.set()
        self._reception.end()
        for abort in self._aborts:
            abort()

    def run(self) -> str:
        """The file's sha256, once it is at its destination and verified. Raises :class:`DownloadError` and kin."""
        task = self._task
        try:
            task.destination.parent.mkdir(parents=True, exist_ok=True)
            task.lock_path.parent.mkdir(parents=True, exist_ok=True)
            with self._file_lock():
                if (digest := self._existing_digest()) is None:
                    digest = self._fetch_until_verified() if task.make is None else self._make(task.make)
        except OSError as error:
            if isinstance(error, InterruptedError):
                again = "Pull again to resume." if task.make is None else "Nothing of it is kept."
                raise TransferError("The download was stopped.", hint=again) from None
            raise self._disk_error(error) from error
        except (TransferError, HubBusyError) as error:
            error.hint = error.hint or "The downloaded part is kept: pull again to resume."
            raise
        self._item.done, self._item.phase = self._item.total or self._item.done, "done"
        return digest

    @contextlib.contextmanager
    def _file_lock(self) -> Iterator[None]:
        """Hold the file's lock; while another process fetches it, show its progress."""
        with contextlib.ExitStack() as stack:
            while True:
                if self._stop.is_set():
                    raise InterruptedError
                try:
                    stack.enter_context(locked(self._task.lock_path, 0))
                    break
                except TimeoutError:
                    self._item.phase = "waiting"
                    self._item.done = bytes_done(self._task.journal) or self._item.done
                    self._stop.wait(0.2)
            yield

    # -- what is there already -------------------------------------------------------------------------------------

    def _existing_digest(self) -> str | None:
        """Digest of the file if it is at its destination and valid; an invalid one is removed."""
        task = self._task
        if not task.destination.exists():
            return None
        size = task.destination.stat().st_size
        self._item.phase, self._item.total = "verifying", size
        if task.size in (None, size):
            digest = sha256_file(task.destination, stop=self._stop)
            if task.sha256 in (None, digest) and (
                task.git_sha1 is None or task.git_sha1 == git_blob_sha1(task.destination)
            ):
                if task.is_gguf:
                    check_header(task.destination, task.name)
                self._discard()
                return digest
        task.destination.unlink()
        return None

    def _discard(self) -> None:
        self._task.part.unlink(missing_ok=True)
        self._task.journal.unlink(missing_ok=True)

    # -- the transfer ----------------------------------------------------------------------------------------------

    def _fetch_until_verified(self) -> str:
        for _ in range(_MAX_RESTARTS + 1):
            try:
                return self._fetch_with_retries()
            except ChangedError:
                self._discard()
        raise VerificationError(
            f"{self._task.name} kept changing on the server during the download.", hint="Try again later."
        )

    def _fetch_with_retries(self) -> str:
        """Without range support a dropped connection restarts the download; with it, single ranges are retried instead."""
        tries = 0

        def once() -> str:
            nonlocal tries
            tries += 1
            self._reception = self._new_reception()
            if self._stop.is_set():  # checked after abort() has a reception to stop
                raise InterruptedError
            return self._accept(*self._reception.run())

        def attempts_made() -> int:
            return self._settings.attempts if self._reception.ranged else tries

        return retrying(self._settings.attempts, self._stop, attempts_made)(once)

    def _make(self, make: Callable[[Making], None]) -> str:
        part = self._task.part
        self._item.phase, self._item.done = "downloading", 0
        try:
            make(Making(part, self._meter, self._item, self._stop, self._aborts.append))
            self._item.phase = "verifying"
            return self._accept(sha256_file(part, stop=self._stop), None)
        finally:
            self._discard()

    # -- the end ---------------------------------------------------------------------------------------------------

    def _accept(self, sha256: str, git_sha1: str | None) -> str:
        """Puts the file in place if it is valid; discards it otherwise."""
        task = self._task
        wrong = (task.sha256 is not None and task.sha256 != sha256) or (
            task.git_sha1 is not None and task.git_sha1 != git_sha1
        )
        if wrong:
            self._discard()
            if self._reception.mixed:
                raise ChangedError
            raise VerificationError(
                f"{task.name} has the wrong digest: {sha256[:12]}… instead of "
                f"{(task.sha256 or task.git_sha1 or '')[:12]}…. It was discarded.",
                hint="Pull again; if it happens again, the server or a proxy alters the file.",
            )
        if task.is_gguf:
            try:
                check_header(task.part, task.name)
            except CatalogError:
                self._discard()
                raise
        publish(task.part, task.destination)
        task.journal.unlink(missing_ok=True)
        return sha256

    def _disk_error(self, error: OSError) -> CatalogError:
        folder = self._task.destination.parent
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            total, free = self._item.total, shutil.disk_usage(folder).free
            needed = None if total is None else max(total - self._item.done, 0)
            missing = "some" if needed is None else human_bytes(needed)
            return DiskSpaceError(
                f"The disk of {folder} is full: {missing} of {self._task.name} are missing, "
                f"{human_bytes(free)} are free.",
                needed=needed,
                available=free,
                hint="Free some space and pull again"
                + (": the downloaded part is kept." if self._task.make is None else "."),
            )
        return CatalogError(f"{self._task.name} can't be written to {folder}: {error.strerror or error}.")
