"""What remote targets cost, on disk: shared between processes, updated under a lock, in a thread of its own.

Nothing here blocks an event loop. What could not be written yet (another process holds the lock, the disk is full) counts
all the same, and is written with the next call, or when the process ends.
"""

from __future__ import annotations

import atexit
import json
import math
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from parlant_local.errors import StateFileError
from parlant_local.forking import in_forked_child
from parlant_local.observability import Logger
from parlant_local.storage import locked, read_json, validated, write_whole

__all__ = ["Ledger", "Spent"]

_VERSION = 1
_MAX_BYTES = 1 << 20
_MAX_TARGETS = 500
_MAX_NAME = 200
_OTHERS = "(others)"
_MOST = 2**63 - 1
LOCK_SECONDS = 1.0

Count = Annotated[int, Field(ge=0, le=_MOST)]


PendingTokens = Counter[tuple[str, str]]
"""Tokens by day and target."""


@dataclass(frozen=True)
class Spent:
    """The ledger. ``day`` is the one that ``today`` counts for; ``seen``, the date that the clock showed last."""

    day: str = ""
    today: Count = 0
    total: Count = 0
    calls: Count = 0
    by_target: dict[str, Count] = field(default_factory=dict)
    seen: str = ""

    def on(self, date_now: str) -> Spent:
        """The ledger as it stands on ``date_now``: a new day counts from zero, and a clock that was set back makes none.

        The latest day counts. While the clock shows an earlier one (it was set back, or it had been ahead), the count goes
        on; it begins anew when the clock comes to a date it has not shown since: a clock that once ran far ahead
        freezes nothing for longer than a day.
        """
        if not self.day or date_now > self.day:
            return replace(self, day=date_now, seen=date_now, today=0)
        if date_now < self.day and self.seen and self.seen < date_now:
            return replace(self, day=date_now, seen=date_now, today=0)
        return self if self.seen == date_now else replace(self, seen=date_now)

    def plus(self, tokens: PendingTokens, calls: int) -> Spent:
        """With these tokens; those of a day that is over count for the total only."""
        today = sum(count for (day, _), count in tokens.items() if day >= self.day)
        by_target = dict(self.by_target)
        for (_, name), count in tokens.items():
            key = name if name in by_target or len(by_target) < _MAX_TARGETS else _OTHERS
            by_target[key] = min(by_target.get(key, 0) + count, _MOST)
        return replace(
            self,
            today=min(self.today + today, _MOST),
            total=min(self.total + tokens.total(), _MOST),
            calls=min(self.calls + calls, _MOST),
            by_target=by_target,
        )


class Ledger:
    """One file, or memory alone where ``path`` is None. Thread-safe."""

    def __init__(self, path: Path | None, today: Callable[[], str], logger: Logger) -> None:
        self.path = path
        self.read_error = ""
        """Why it could not be read last time."""
        self._today = today
        self._logger = logger
        self._spent = Spent()
        self._stamp: tuple[int, int] | None = None
        self._refreshed_at = -math.inf
        self._last_error = ""
        self._reset()
        _LEDGERS.add(self)

    def _reset(self) -> None:
        """State of one process. A forked child starts empty: its parent writes what is pending, and the thread was not forked."""
        self._mutex = threading.Lock()  # held for assignments only
        self._disk = threading.Lock()
        self._pending: PendingTokens = Counter()
        self._pending_calls = 0
        self._writer: ThreadPoolExecutor | None = None
        self._queued: Future[None] | None = None

    @property
    def unwritten(self) -> bool:
        """Whether something is pending."""
        return self._pending_calls > 0

    def known(self) -> Spent:
        """As of the last refresh, with all that this process has added since. Does not read the disk."""
        with self._mutex:
            self._spent = self._spent.on(self._today())
            return self._spent.plus(self._pending, self._pending_calls)

    def refresh(self) -> Spent:
        """As it is now: other processes may have added to it. Reads the disk; raises :class:`StateFileError`."""
        if self.path is not None:
            with self._disk:
                self._read(self.path)
            if self._pending or self._clock_is_behind():
                self._queue()
        return self.known()

    def refresh_soon(self) -> None:
        """Refresh in the background, at most once a second."""
        if self.path is not None and time.monotonic() - self._refreshed_at > 1.0:
            self._refreshed_at = time.monotonic()
            self._submit(self._refresh_in_background)

    def add(self, target: str, tokens: int) -> None:
        """Count what a call cost; it is written in the background."""
        name = target.encode("utf-8", "replace").decode()[:_MAX_NAME]
        with self._mutex:
            self._spent = self._spent.on(self._today())
            cost: PendingTokens = Counter({(self._spent.day, name): min(max(tokens, 0), _MOST)})
            if self.path is None:
                self._spent = self._spent.plus(cost, 1)
                return
            self._pending += cost
            self._pending_calls += 1
        _UNWRITTEN.add(self)
        self._queue()

    def write(self) -> None:
        """Write what is pending. Blocks; a failure is logged, and retried with the next call."""
        if self.path is None:
            return
        try:
            with locked(self.path.with_name(f"{self.path.name}.lock"), LOCK_SECONDS), self._disk:
                self._write(self.path)
            self._last_error = ""
        except (StateFileError, TimeoutError) as error:
            # The answers were delivered and paid for; failing their calls now would not help.
            if (message := str(error)) != self._last_error:
                self._last_error = message
                self._logger.error(
                    f"{self._pending.total()} tokens could not be written to {self.path} yet; they still count against the budget: {message}"
                )

    def _write(self, path: Path) -> None:
        self._read(path)
        with self._mutex:
            tokens, calls = self._pending.copy(), self._pending_calls
            after = self._spent.on(self._today()).plus(tokens, calls)
        write_whole(path, json.dumps({"version": _VERSION, **asdict(after)}), private=True)
        stamp = _stamp(path)
        with self._mutex:
            self._spent, self._stamp = after, stamp
            self._pending -= tokens
            self._pending_calls -= calls
            if not self._pending_calls:
                _UNWRITTEN.discard(self)

    def _read(self, path: Path) -> None:
        """Load what is on disk, if it changed; without a file, what was known stays."""
        try:
            if (stamp := _stamp(path)) is not None and stamp != self._stamp:
                spent = _load(path)
                with self._mutex:
                    self._spent, self._stamp = spent, stamp
        except FileNotFoundError:
            pass
        except StateFileError as error:
            self.read_error = str(error)
            raise
        self.read_error = ""

    def _refresh_in_background(self) -> None:
        try:
            self.refresh()
        except StateFileError as error:
            self._logger.debug(str(error))  # ``read_error`` has the reason

    def _clock_is_behind(self) -> bool:
        """Whether the date must be noted, for the one after it to be known as a new day, also by another process."""
        with self._mutex:
            spent, now = self._spent, self._today()
        return bool(spent.day) and now < spent.day and spent.seen != now

    def _queue(self) -> None:
        with self._mutex:
            waits = self._queued is not None and not self._queued.running() and not self._queued.done()
        if not waits:  # a queued write that has not started will include this
            self._queued = self._submit(self.write)

    def _submit(self, work: Callable[[], None]) -> Future[None] | None:
        with self._mutex:
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, thread_name_prefix="parlant-local-ledger")
            try:
                return self._writer.submit(work)
            except RuntimeError:  # the interpreter is shutting down; what is pending is written at exit
                return None


_LEDGERS: weakref.WeakSet[Ledger] = weakref.WeakSet()
_UNWRITTEN: set[Ledger] = set()
"""Those that hold what is not on the disk yet, kept alive until it is."""


def _flush_all() -> None:
    for ledger in list(_UNWRITTEN):
        ledger.write()


@in_forked_child
def _reset_after_fork() -> None:
    _UNWRITTEN.clear()
    for ledger in list(_LEDGERS):
        ledger._reset()


atexit.register(_flush_all)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(path, error.strerror or str(error)) from None
    return status.st_mtime_ns, status.st_ino


def _load(path: Path) -> Spent:
    data = read_json(path, _MAX_BYTES)
    try:
        if isinstance(data, dict) and data.pop("version", _VERSION) != _VERSION:
            raise ValueError("its version is not supported")
        spent = validated(_ledgers(), data)
        for day in (spent.day, spent.seen):
            if day and date.fromisoformat(day).isoformat() != day:
                raise ValueError(f"{day} is not an ISO date")
    except ValueError as error:
        raise StateFileError(path, str(error)) from None
    return spent


@cache
def _ledgers() -> TypeAdapter[Spent]:
    return TypeAdapter(Spent)
