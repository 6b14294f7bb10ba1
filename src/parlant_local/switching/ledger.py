"""What remote targets cost, on disk: shared by processes, added to under a lock, in a thread of its own.

Nothing here waits on an event loop. What could not be written yet (another process keeps the lock, the disk is full) counts
all the same, and is written with the next call, or when the process ends.
"""

from __future__ import annotations

import atexit
import json
import math
import os
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


Waiting = Counter[tuple[str, str]]
"""Tokens by the day that they count for and by target."""


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

    def plus(self, tokens: Waiting, calls: int) -> Spent:
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
        self.trouble = ""
        """Why it could not be read when last looked at."""
        self._today = today
        self._logger = logger
        self._spent = Spent()
        self._stamp: tuple[int, int] | None = None
        self._looked = -math.inf
        self._told = ""
        self._begin()
        _LEDGERS.add(self)

    def _begin(self) -> None:
        """What belongs to one process. A forked one starts anew: its parent books what waits, and the thread is not here."""
        self._mutex = threading.Lock()  # held for assignments only
        self._disk = threading.Lock()
        self._waiting: Waiting = Counter()
        self._waiting_calls = 0
        self._writer: ThreadPoolExecutor | None = None
        self._queued: Future[None] | None = None

    @property
    def unwritten(self) -> bool:
        """Whether something waits to get to the disk."""
        return self._waiting_calls > 0

    def known(self) -> Spent:
        """As it was when last looked at, with all that this process has added since. No disk."""
        with self._mutex:
            self._spent = self._spent.on(self._today())
            return self._spent.plus(self._waiting, self._waiting_calls)

    def look(self) -> Spent:
        """As it is now: other processes may have added to it. Reads the disk; raises :class:`StateFileError`."""
        if self.path is not None:
            with self._disk:
                self._read(self.path)
            if self._waiting or self._clock_is_behind():
                self._queue()
        return self.known()

    def look_soon(self) -> None:
        """Look in the background, for whoever asks next; not more often than once a second."""
        if self.path is not None and time.monotonic() - self._looked > 1.0:
            self._looked = time.monotonic()
            self._submit(self._look_or_tell)

    def add(self, target: str, tokens: int) -> None:
        """Count what a call cost; it gets to the disk in the background."""
        name = target.encode("utf-8", "replace").decode()[:_MAX_NAME]
        with self._mutex:
            self._spent = self._spent.on(self._today())
            cost: Waiting = Counter({(self._spent.day, name): min(max(tokens, 0), _MOST)})
            if self.path is None:
                self._spent = self._spent.plus(cost, 1)
                return
            self._waiting += cost
            self._waiting_calls += 1
        _UNWRITTEN.add(self)
        self._queue()

    def write(self) -> None:
        """Get to the disk what is not there yet. Blocks; where it fails, that is told, and tried again with the next call."""
        if self.path is None:
            return
        try:
            with locked(self.path.with_name(f"{self.path.name}.lock"), LOCK_SECONDS), self._disk:
                self._write(self.path)
            self._told = ""
        except (StateFileError, TimeoutError) as error:
            # The answers are there and paid for: losing them would help nobody.
            if (told := str(error)) != self._told:
                self._told = told
                self._logger.error(
                    f"{self._waiting.total()} tokens can't be booked in {self.path} yet; they count all the same: {told}"
                )

    def _write(self, path: Path) -> None:
        self._read(path)
        with self._mutex:
            tokens, calls = self._waiting.copy(), self._waiting_calls
            after = self._spent.on(self._today()).plus(tokens, calls)
        write_whole(path, json.dumps({"version": _VERSION, **asdict(after)}), private=True)
        stamp = _stamp(path)
        with self._mutex:
            self._spent, self._stamp = after, stamp
            self._waiting -= tokens
            self._waiting_calls -= calls
            if not self._waiting_calls:
                _UNWRITTEN.discard(self)

    def _read(self, path: Path) -> None:
        """Take over what stands on disk, if it changed; where nothing does, what was known goes on."""
        try:
            if (stamp := _stamp(path)) is not None and stamp != self._stamp:
                spent = _load(path)
                with self._mutex:
                    self._spent, self._stamp = spent, stamp
        except FileNotFoundError:
            pass
        except StateFileError as error:
            self.trouble = str(error)
            raise
        self.trouble = ""

    def _look_or_tell(self) -> None:
        try:
            self.look()
        except StateFileError as error:
            self._logger.debug(str(error))  # ``trouble`` says it to whoever asks

    def _clock_is_behind(self) -> bool:
        """Whether the date must be noted, for the one after it to be known as a new day, also by another process."""
        with self._mutex:
            spent, now = self._spent, self._today()
        return bool(spent.day) and now < spent.day and spent.seen != now

    def _queue(self) -> None:
        with self._mutex:
            waits = self._queued is not None and not self._queued.running() and not self._queued.done()
        if not waits:  # one that has not begun will write this as well
            self._queued = self._submit(self.write)

    def _submit(self, work: Callable[[], None]) -> Future[None] | None:
        with self._mutex:
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, thread_name_prefix="parlant-local-ledger")
            try:
                return self._writer.submit(work)
            except RuntimeError:  # the interpreter ends; what waits is written at its very end
                return None


_LEDGERS: weakref.WeakSet[Ledger] = weakref.WeakSet()
_UNWRITTEN: set[Ledger] = set()
"""Those that hold what is not on the disk yet, kept alive until it is."""


def _write_all() -> None:
    for ledger in list(_UNWRITTEN):
        ledger.write()


def _begin_all() -> None:
    _UNWRITTEN.clear()
    for ledger in list(_LEDGERS):
        ledger._begin()


atexit.register(_write_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)


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
            raise ValueError("it is of another version")
        spent = validated(_ledgers(), data)
        for day in (spent.day, spent.seen):
            if day and date.fromisoformat(day).isoformat() != day:
                raise ValueError(f"{day} is no date as it is written here")
    except ValueError as error:
        raise StateFileError(path, str(error)) from None
    return spent


@cache
def _ledgers() -> TypeAdapter[Spent]:
    return TypeAdapter(Spent)
