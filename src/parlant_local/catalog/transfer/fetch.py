"""Fetches one file: in parallel ranges, journalled, resumed, hashed while it arrives, put in place only when right."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event, Lock

from parlant_local.catalog.disk import human_bytes
from parlant_local.catalog.transfer.hashing import TrailingHash
from parlant_local.catalog.transfer.http import HttpResponse, HttpSession, shown
from parlant_local.catalog.transfer.journal import Identity, Journal, bytes_done
from parlant_local.catalog.transfer.location import Location
from parlant_local.catalog.transfer.meter import FileMeter, Meter
from parlant_local.catalog.transfer.rate import RateLimit
from parlant_local.catalog.transfer.retrying import RETRIED_STATUSES, retrying
from parlant_local.catalog.transfer.segments import Segment, content_start, content_total, split, write_all
from parlant_local.catalog.transfer.task import FileTask
from parlant_local.errors import (
    CatalogError,
    DiskSpaceError,
    HubBusyError,
    HubError,
    TransferError,
    VerificationError,
)
from parlant_local.gguf_info import git_blob_sha1, read_file_header, sha256_file
from parlant_local.retry_after import retry_after
from parlant_local.settings import DownloadSettings
from parlant_local.storage import locked, publish

__all__ = ["FileFetch"]

_BUFFER = 1 << 19
_FLUSH_SECONDS = 0.1  # a slow line is journalled this often
_TRICKLE = 4 << 10  # fewer bytes than this in a whole stall period are no progress
_MAX_RESTARTS = 2


class _Changed(Exception):
    """The file became another one while it was fetched."""


class FileFetch:
    """One run of one :class:`FileTask`. Blocks; ``abort`` from another thread ends it, resumable."""

    def __init__(
        self, task: FileTask, settings: DownloadSettings, meter: Meter, item: FileMeter, rate: RateLimit
    ) -> None:
        self._task, self._settings, self._meter, self._item = task, settings, meter, item
        self._rate = rate
        self._location = Location(task.url, task.headers)
        self._sessions: list[HttpSession] = []
        self._lock = Lock()
        self._stop = Event()  # for good
        self._halt = Event()  # this try only: another connection failed
        self._ranged = True
        self._mixed = False  # bytes of different etags, or of an earlier run: a wrong digest may be our doing

    def abort(self) -> None:
        """End the run, from any thread; :meth:`run` raises :class:`TransferError`."""
        self._stop.set()
        self._end_try()

    def _end_try(self) -> None:
        """Wake every connection that waits for bytes."""
        self._halt.set()
        with self._lock:
            for session in self._sessions:
                session.abort()

    def run(self) -> str:
        """The file's sha256, once it stands at its destination and is right. Raises :class:`DownloadError` and kin."""
        task = self._task
        try:
            task.destination.parent.mkdir(parents=True, exist_ok=True)
            task.lock_path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if (digest := self._already_there()) is None:
                    digest = self._fetch_until_right()
        except OSError as error:
            if isinstance(error, InterruptedError):
                raise TransferError("The download was stopped.", hint="Pull again to resume.") from None
            raise self._disk_error(error) from error
        except (TransferError, HubBusyError) as error:
            error.hint = error.hint or "What was fetched is kept: pull again to resume."
            raise
        self._item.done, self._item.phase = self._item.total or self._item.done, "done"
        return digest

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
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

    def _already_there(self) -> str | None:
        """Digest of the file if it is at its destination and right; a wrong one is removed."""
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
                    read_file_header(task.destination)
                self._discard()
                return digest
        task.destination.unlink()
        return None

    def _discard(self) -> None:
        self._task.part.unlink(missing_ok=True)
        self._task.journal.unlink(missing_ok=True)

    # -- the transfer ----------------------------------------------------------------------------------------------

    def _fetch_until_right(self) -> str:
        for _ in range(_MAX_RESTARTS + 1):
            try:
                return self._fetch_stubbornly()
            except _Changed:
                self._discard()
        raise VerificationError(
            f"{self._task.name} kept changing on the server while it was fetched.", hint="Try again later."
        )

    def _fetch_stubbornly(self) -> str:
        """From a server without ranges a break means: from the start again. Ranges are retried one by one instead."""
        tries = 0

        def enough() -> int:
            return self._settings.attempts if self._ranged else tries

        for attempt in retrying(self._settings.attempts, self._stop, enough):
            tries += 1
            with attempt:
                return self._fetch()
        raise AssertionError("unreachable")

    def _fetch(self) -> str:
        if self._stop.is_set():
            raise InterruptedError
        self._mixed, self._ranged, self._halt = False, True, Event()
        with self._lock:
            self._sessions = []
        self._item.phase = "downloading"
        session = self._new_session()
        try:
            identity, whole = self._probe(session)
            self._item.total = identity.size
            resumed = self._resumable(identity) if whole is None else []
            self._mixed = bool(resumed)
            with Journal(self._task.journal, identity, resumed) as journal:
                self._item.done = journal.done
                descriptor = os.open(self._task.part, os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    os.ftruncate(descriptor, identity.size)
                    digests = self._receive(session, journal, descriptor, whole)
                finally:
                    os.close(descriptor)
        finally:
            session.reset()
        return self._accept(*digests)

    def _probe(self, session: HttpSession) -> tuple[Identity, HttpResponse | None]:
        """What the server has; where it can't do ranges, also its answer, which is already the whole file."""
        for attempt in retrying(self._settings.attempts, self._halt):
            with attempt:
                response = self._ask(session, {"Range": "bytes=0-0"})
                self._ranged = response.status == 206
                size = content_total(response) if self._ranged else response.length
                if self._ranged:
                    response.read(16)
        if size is None or size <= 0:
            raise HubError(f"{shown(response.url)} does not say how large {self._task.name} is.")
        if self._task.size not in (None, size):
            response.close()
            raise VerificationError(
                f"{self._task.name} has {size:,} bytes on the server instead of the published {self._task.size:,}.",
                hint="The mirror may be out of date: try again later or elsewhere.",
            )
        digest = self._task.sha256
        identity = Identity(shown(self._task.url), size, response.etag, digest)
        return identity, None if self._ranged else response

    def _ask(self, session: HttpSession, headers: dict[str, str]) -> HttpResponse:
        """A good answer (200 or 206), or the error that the bad one means."""
        if self._halt.is_set():
            raise InterruptedError
        url, more = self._location.get()
        response = session.get(url, {**more, **headers})
        if response.status in (200, 206):
            self._location.learn(response)
            return response
        try:
            if response.status in RETRIED_STATUSES:
                raise HubBusyError(
                    f"{shown(response.url)} answered {response.status}.",
                    status=response.status,
                    retry_after=retry_after(response.headers),
                    hint="The server is busy; what was fetched is kept: pull again later.",
                )
            if response.status in (400, 401, 403, 404, 410) and self._location.forget(response.url):
                raise TransferError(f"The address {shown(response.url)} has expired ({response.status}).")
            raise self._task.explain(response)
        finally:
            response.close()
            session.reset()

    def _resumable(self, identity: Identity) -> list[tuple[int, int]]:
        """Ranges that an earlier run left and that can be kept."""
        loaded = Journal.load(self._task.journal)
        part = self._task.part
        if loaded is None or not part.is_file() or part.stat().st_size != identity.size:
            return []
        return loaded[1] if identity.continues(loaded[0]) else []

    def _receive(
        self, session: HttpSession, journal: Journal, descriptor: int, whole: HttpResponse | None
    ) -> tuple[str, str | None]:
        size = journal.identity.size
        hashing = TrailingHash(
            self._task.part, size, lambda: journal.frontier, self._halt, self._task.git_sha1 is not None
        )
        try:
            if whole is not None:
                self._pump(whole, Segment(0, size), journal, descriptor, hashing)
            else:
                self._receive_ranges(session, journal, descriptor, hashing)
            self._item.phase = "verifying"
            return hashing.result()
        except BaseException:
            self._end_try()
            hashing.abandon()
            raise

    def _receive_ranges(self, session: HttpSession, journal: Journal, descriptor: int, hashing: TrailingHash) -> None:
        segments = split(journal.missing(), self._settings.connections)
        count = min(self._settings.connections, len(segments))
        if count <= 1:
            self._work(session, segments, journal, descriptor, hashing)
            return
        with ThreadPoolExecutor(count, thread_name_prefix="parlant-local-fetch") as pool:
            sessions = [session, *(self._new_session() for _ in range(count - 1))]
            futures: list[Future[None]] = [
                pool.submit(self._work, item, segments, journal, descriptor, hashing) for item in sessions
            ]
            done, pending = wait(futures, return_when=FIRST_EXCEPTION)
            if pending:
                self._end_try()
                done |= wait(pending).done
            for other in sessions[1:]:
                other.reset()
        # The first real reason, before the interruptions that it caused.
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise min(errors, key=lambda error: isinstance(error, InterruptedError))

    def _work(
        self, session: HttpSession, segments: deque[Segment], journal: Journal, descriptor: int, hashing: TrailingHash
    ) -> None:
        """One connection: takes segments from the front until there are none."""
        while True:
            try:
                segment = segments.popleft()
            except IndexError:
                return
            for attempt in retrying(self._settings.attempts, self._halt, segment.idle_tries):
                with attempt:
                    before = segment.at
                    try:
                        self._fetch_segment(session, segment, journal, descriptor, hashing)
                    except (TransferError, HubBusyError):
                        if self._halt.is_set():
                            raise InterruptedError from None
                        segment.idle = 0 if segment.at - before >= _TRICKLE else segment.idle + 1
                        session.reset()
                        raise

    def _fetch_segment(
        self, session: HttpSession, segment: Segment, journal: Journal, descriptor: int, hashing: TrailingHash
    ) -> None:
        response = self._ask(session, {"Range": f"bytes={segment.at}-{segment.end - 1}"})
        if response.status == 200 and not (segment.at == 0 and segment.end == journal.identity.size):
            response.close()
            session.reset()
            raise TransferError(f"{shown(response.url)} ignored the range that was asked for.")
        self._check_same(response, journal)
        if response.status == 206 and content_start(response) != segment.at:
            response.close()
            session.reset()
            raise TransferError(f"{shown(response.url)} sent another range than the one asked for.")
        self._pump(response, segment, journal, descriptor, hashing)

    def _check_same(self, response: HttpResponse, journal: Journal) -> None:
        identity = journal.identity
        total = content_total(response) if response.status == 206 else response.length
        changed = response.etag is not None and identity.etag is not None and response.etag != identity.etag
        if total != identity.size or (changed and identity.sha256 is None):
            response.close()
            raise _Changed
        self._mixed = self._mixed or changed

    def _pump(
        self, response: HttpResponse, segment: Segment, journal: Journal, descriptor: int, hashing: TrailingHash
    ) -> None:
        """Bytes from the connection to the file, then to the journal, in that order."""
        buffer = memoryview(bytearray(min(_BUFFER, segment.end - segment.at)))
        filled, flushed_at = 0, time.monotonic()
        window_start, window_bytes = flushed_at, 0

        def flush() -> None:
            nonlocal filled
            if filled:
                write_all(descriptor, buffer[:filled], segment.at)
                journal.add(segment.at, segment.at + filled)
                segment.at += filled
                self._meter.fetched(self._item, filled)
                filled = 0
                hashing.advance()

        try:
            while segment.at + filled < segment.end:
                if self._halt.is_set():
                    raise InterruptedError
                room = min(len(buffer) - filled, segment.end - segment.at - filled)
                count = response.readinto(buffer[filled : filled + room])
                if count == 0:
                    raise TransferError(f"{shown(response.url)} ended too early.")
                self._rate.pay(count, self._halt)
                filled += count
                window_bytes += count
                now = time.monotonic()
                if filled == len(buffer) or now - flushed_at > _FLUSH_SECONDS:
                    flush()
                    flushed_at = now
                if now - window_start > self._settings.stall_seconds:
                    if window_bytes < _TRICKLE:
                        raise TransferError(
                            f"{shown(response.url)} stalled: {window_bytes} bytes in {now - window_start:.0f} s."
                        )
                    window_start, window_bytes = now, 0
        finally:
            flush()
        if response.length:
            response.close()

    # -- the end ---------------------------------------------------------------------------------------------------

    def _accept(self, sha256: str, git_sha1: str | None) -> str:
        """Put the file in place if it is right; never keep one that is wrong."""
        task = self._task
        wrong = (task.sha256 is not None and task.sha256 != sha256) or (
            task.git_sha1 is not None and task.git_sha1 != git_sha1
        )
        if wrong:
            self._discard()
            if self._mixed:
                raise _Changed
            raise VerificationError(
                f"{task.name} arrived with other bytes than published: {sha256[:12]}… instead of "
                f"{(task.sha256 or task.git_sha1 or '')[:12]}…. It was thrown away.",
                hint="Pull again; if it stays wrong, the server or something on the way to it alters files.",
            )
        if task.is_gguf:
            try:
                read_file_header(task.part)
            except CatalogError:
                self._discard()
                raise
        publish(task.part, task.destination)
        task.journal.unlink(missing_ok=True)
        return sha256

    def _new_session(self) -> HttpSession:
        session = HttpSession(self._settings.stall_seconds)
        with self._lock:
            self._sessions.append(session)
        return session

    def _disk_error(self, error: OSError) -> CatalogError:
        folder = self._task.destination.parent
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            total, free = self._item.total, shutil.disk_usage(folder).free
            needed = None if total is None else max(total - self._item.done, 0)
            missing = "some" if needed is None else human_bytes(needed)
            return DiskSpaceError(
                f"The disk of {folder} became full: {missing} of {self._task.name} are missing, "
                f"{human_bytes(free)} are free.",
                needed=needed,
                available=free,
                hint="Free some space and pull again: what was fetched is kept.",
            )
        return CatalogError(f"{self._task.name} can't be written to {folder}: {error.strerror or error}.")
