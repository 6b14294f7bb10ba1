"""One attempt at a file: ranges over several connections, journalled and hashed as they arrive."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event, Lock

from parlant_local.catalog.transfer.hashing import TrailingHash
from parlant_local.catalog.transfer.http import HttpResponse, HttpSession, shown
from parlant_local.catalog.transfer.journal import Identity, Journal
from parlant_local.catalog.transfer.location import Location
from parlant_local.catalog.transfer.meter import FileMeter, Meter
from parlant_local.catalog.transfer.rate import RateLimit
from parlant_local.catalog.transfer.retrying import busy, retrying
from parlant_local.catalog.transfer.segments import Segment, content_start, content_total, split, write_all
from parlant_local.catalog.transfer.task import FileTask
from parlant_local.errors import HubBusyError, HubError, TransferError, VerificationError
from parlant_local.settings import DownloadSettings

__all__ = ["ChangedError", "Reception"]

_BUFFER = 1 << 19
_FLUSH_SECONDS = 0.1  # a slow line is journalled this often
_MIN_PROGRESS_BYTES = 4 << 10  # fewer bytes than this in a whole stall period are no progress


class ChangedError(Exception):
    """The file changed on the server during the download."""


class Reception:
    """Blocks in :meth:`run`; ``end`` from another thread stops it, resumable."""

    def __init__(
        self,
        task: FileTask,
        settings: DownloadSettings,
        meter: Meter,
        item: FileMeter,
        rate: RateLimit,
        location: Location,
    ) -> None:
        self._task, self._settings, self._meter, self._item = task, settings, meter, item
        self._rate = rate
        self._location = location
        self._sessions: list[HttpSession] = []
        self._lock = Lock()
        self._halt = Event()
        self.ranged = True
        """Whether the server supports ranges."""
        self.mixed = False
        """Bytes of different etags, or of an earlier run: a wrong digest may come from mixing them."""

    def end(self) -> None:
        """Interrupts every connection that waits for data."""
        self._halt.set()
        with self._lock:
            for session in self._sessions:
                session.abort()

    def run(self) -> tuple[str, str | None]:
        """The file's sha256, and its git blob id where the task has one, once all bytes are in the task's part."""
        self._item.phase = "downloading"
        session = self._new_session()
        try:
            identity, whole = self._probe(session)
            self._item.total = identity.size
            resumed = self._resumable(identity) if whole is None else []
            self.mixed = bool(resumed)
            with Journal(self._task.journal, identity, resumed) as journal:
                self._item.done = journal.done
                self._task.part.touch(mode=0o644)
                with self._task.part.open("rb+", buffering=0) as file:
                    file.truncate(identity.size)
                    return self._receive(session, journal, file.fileno(), whole)
        finally:
            session.reset()

    def _probe(self, session: HttpSession) -> tuple[Identity, HttpResponse | None]:
        """The file's identity; where ranges are not supported, also the response, which is already the whole file."""
        for attempt in retrying(self._settings.attempts, self._halt):
            with attempt:
                response = self._ask(session, {"Range": "bytes=0-0"})
                self.ranged = response.status == 206
                size = content_total(response) if self.ranged else response.length
                if self.ranged:
                    response.read(16)
        if size is None or size <= 0:
            raise HubError(f"{shown(response.url)} does not report the size of {self._task.name}.")
        if self._task.size not in (None, size):
            response.close()
            raise VerificationError(
                f"{self._task.name} has {size:,} bytes on the server instead of the published {self._task.size:,}.",
                hint="The mirror may be out of date: try again later or use another one.",
            )
        digest = self._task.sha256
        identity = Identity(shown(self._task.url), size, response.etag, digest)
        return identity, None if self.ranged else response

    def _ask(self, session: HttpSession, headers: dict[str, str]) -> HttpResponse:
        """A successful response (200 or 206), or the error for its status."""
        if self._halt.is_set():
            raise InterruptedError
        url, more = self._location.get()
        response = session.get(url, {**more, **headers})
        if response.status in (200, 206):
            self._location.learn(response)
            return response
        try:
            hint = "The server is busy; the downloaded part is kept: pull again later."
            if (error := busy(shown(response.url), response.status, response.headers, hint)) is not None:
                raise error
            if response.status in (400, 401, 403, 404, 410) and self._location.forget(response.url):
                raise TransferError(f"The address {shown(response.url)} has expired ({response.status}).")
            raise self._task.explain(response)
        finally:
            response.close()
            session.reset()

    def _resumable(self, identity: Identity) -> list[tuple[int, int]]:
        """Ranges of an earlier run that can be resumed."""
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
            self.end()
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
                self.end()
                done |= wait(pending).done
            for other in sessions[1:]:
                other.reset()
        # The first real error, not the interruptions that it caused.
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise min(errors, key=lambda error: isinstance(error, InterruptedError))

    def _work(
        self, session: HttpSession, segments: deque[Segment], journal: Journal, descriptor: int, hashing: TrailingHash
    ) -> None:
        """One connection: takes segments until none are left."""
        while True:
            try:
                segment = segments.popleft()
            except IndexError:
                return
            for attempt in retrying(self._settings.attempts, self._halt, segment.idle_attempts):
                with attempt:
                    before = segment.at
                    try:
                        self._fetch_segment(session, segment, journal, descriptor, hashing)
                    except (TransferError, HubBusyError):
                        if self._halt.is_set():
                            raise InterruptedError from None
                        segment.idle = 0 if segment.at - before >= _MIN_PROGRESS_BYTES else segment.idle + 1
                        session.reset()
                        raise

    def _fetch_segment(
        self, session: HttpSession, segment: Segment, journal: Journal, descriptor: int, hashing: TrailingHash
    ) -> None:
        response = self._ask(session, {"Range": f"bytes={segment.at}-{segment.end - 1}"})
        if response.status == 200 and not (segment.at == 0 and segment.end == journal.identity.size):
            response.close()
            session.reset()
            raise TransferError(f"{shown(response.url)} ignored the requested range.")
        self._check_same(response, journal)
        if response.status == 206 and content_start(response) != segment.at:
            response.close()
            session.reset()
            raise TransferError(f"{shown(response.url)} sent a range other than the requested one.")
        self._pump(response, segment, journal, descriptor, hashing)

    def _check_same(self, response: HttpResponse, journal: Journal) -> None:
        identity = journal.identity
        total = content_total(response) if response.status == 206 else response.length
        changed = response.etag is not None and identity.etag is not None and response.etag != identity.etag
        if total != identity.size or (changed and identity.sha256 is None):
            response.close()
            raise ChangedError
        self.mixed = self.mixed or changed

    def _pump(
        self, response: HttpResponse, segment: Segment, journal: Journal, descriptor: int, hashing: TrailingHash
    ) -> None:
        """Writes bytes to the file, then to the journal, in that order."""
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
                    raise TransferError(f"{shown(response.url)} ended the response too early.")
                self._rate.pay(count, self._halt)
                filled += count
                window_bytes += count
                now = time.monotonic()
                if filled == len(buffer) or now - flushed_at > _FLUSH_SECONDS:
                    flush()
                    flushed_at = now
                if now - window_start > self._settings.stall_seconds:
                    if window_bytes < _MIN_PROGRESS_BYTES:
                        raise TransferError(
                            f"{shown(response.url)} stalled: {window_bytes} bytes in {now - window_start:.0f} s."
                        )
                    window_start, window_bytes = now, 0
        finally:
            flush()
        if response.length:
            response.close()

    def _new_session(self) -> HttpSession:
        session = HttpSession(self._settings.stall_seconds)
        with self._lock:
            self._sessions.append(session)
        return session
