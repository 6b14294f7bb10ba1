"""Which engines live in this process: one per model and settings, whoever asks for it.

Loads are joined, and given up when nobody waits any more; an engine that fails is dropped and loaded anew for the next
request; the last holder to go frees it. Every function may be called from any thread and any event loop.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from parlant_local.engine.holders import Holder, LoggerOfHolders
from parlant_local.engine.loaded import EngineSpec, LoadedEngine
from parlant_local.engine.loading import ABANDONED_SECONDS, LoadControl
from parlant_local.engine.stats import StatsRecorder
from parlant_local.engine.worker import Worker
from parlant_local.errors import EngineClosedError, EngineError, EngineFailedError, ModelLoadError, ParlantLocalError

__all__ = ["Gone", "Holder", "Load", "Resident", "check_process", "hold", "let_go_when_collected"]

_FAILURES = 3
_WINDOW_SECONDS = 600.0
_EXIT_SECONDS = 1.5

# Settings of whoever asks, not of the engine: two that differ only here share one.
_OF_CALLERS = frozenset({"max_queue", "stall_seconds", "memory_mb", "keep_alive_seconds", "vetting", "vetting_seconds"})

_Key = tuple[Any, ...]

Gone = Future[None]
"""Done when an engine's thread has let go of everything."""


@dataclass(eq=False)
class Load:
    """A load under way."""

    control: LoadControl
    worker: Worker
    waiting: int = 0
    future: Future[LoadedEngine] = field(default_factory=Future)


class Resident:
    """One engine's place in the process, from the first holder to the last."""

    def __init__(self, key: _Key, spec: EngineSpec) -> None:
        self.pid = os.getpid()
        self.recorder = StatsRecorder()
        """Counts on when an engine that failed is replaced."""
        self._engine: LoadedEngine | None = None
        self._key = key
        self._spec = spec
        self._name = spec.path.stem
        self._holders: list[Holder] = []
        self._load: Load | None = None
        self._leaving: Gone | None = None
        self._failures: deque[tuple[float, str]] = deque(maxlen=_FAILURES)
        self._timer: threading.Timer | None = None

    @property
    def engine(self) -> LoadedEngine | None:
        """The loaded engine, if there is one and its thread lives."""
        engine = self._engine
        return None if engine is None or engine.worker.gone.done() else engine

    # -- holding ------------------------------------------------------------------------------------------------------

    def _hold(self, holder: Holder) -> None:
        if holder not in self._holders:
            self._holders.append(holder)
        self._stop_timer()

    def let_go(self, holder: Holder, linger: float = 0.0) -> Gone:
        """Counts ``holder`` out. The last one frees the engine, after ``linger`` seconds; the future is done when it is free,
        or when others, or the time, keep it."""
        with _table_lock():
            return self._let_go(holder, linger)

    def _let_go(self, holder: Holder, linger: float) -> Gone:
        if holder in self._holders:
            self._holders.remove(holder)
        if not self._holders and self.pid == os.getpid():
            if self._load is not None:
                self._give_up(self._load)
            if self.engine is not None and linger > 0 and not _ending:
                self._free_after(linger)
            else:
                self._free()
        if self._holders or self.engine is not None or self._leaving is None:
            return _done()
        return self._leaving

    def _free_after(self, seconds: float) -> None:
        self._stop_timer()
        if seconds <= threading.TIMEOUT_MAX:
            self._timer = threading.Timer(seconds, self._time_is_up)
            self._timer.daemon = True
            self._timer.start()

    def _time_is_up(self) -> None:
        with _table_lock():
            if not self._holders:
                self._free()

    def _free(self) -> None:
        self._stop_timer()
        engine, self._engine = self._engine, None
        if engine is not None:
            self._leaving = engine.worker.gone
            engine.worker.stop()
        self._leave_the_table()

    def _leave_the_table(self) -> None:
        """Nobody holds it: who asks next begins anew, failures forgotten."""
        if not (self._holders or self.engine or self._load) and _table.get(self._key) is self:
            del _table[self._key]

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _end(self) -> None:
        """With the process: nobody is left to be told."""
        if self._load is not None:
            self._load.control.give_up()
            self._load.worker.stop(silently=True)
        if self._engine is not None:
            self._engine.worker.stop(silently=True)

    # -- loading ------------------------------------------------------------------------------------------------------

    def join(self) -> Load:
        """The load under way, or a new one; :meth:`leave` it when done waiting. Raises :class:`EngineFailedError` where the
        engine has failed too often of late."""
        with _table_lock():
            load = self._load
            if load is None and self.engine is not None:
                load = Load(LoadControl(self._name), self.engine.worker)
                load.future.set_result(self.engine)
            elif load is None:
                self._check_failures()
                load = self._load = self._start()
            load.waiting += 1
            return load

    def leave(self, load: Load) -> None:
        with _table_lock():
            load.waiting -= 1
            if not load.waiting and load is self._load and not _ending:
                timer = threading.Timer(ABANDONED_SECONDS, self._give_up_if_abandoned, [load])
                timer.daemon = True
                timer.start()

    def _give_up_if_abandoned(self, load: Load) -> None:
        with _table_lock():
            if not load.waiting and load is self._load:
                self._give_up(load)

    def _give_up(self, load: Load) -> None:
        """Ends a load, or frees what it brought where it has just come to its end."""
        load.control.give_up()
        load.worker.stop()
        self._load, self._leaving = None, load.worker.gone

    def _start(self) -> Load:
        before = [gone for gone in (self._leaving, *_free_unheld()) if gone is not None]
        logger = LoggerOfHolders(self._holders)
        try:
            worker = Worker(self._name, logger, self.recorder, self._failed)
        except RuntimeError as error:
            raise ModelLoadError(
                f"{self._name} can't be loaded: {error}.", hint="The process has too many threads."
            ) from None
        load = Load(LoadControl(self._name), worker)

        def work() -> LoadedEngine:
            wait_for_all(before)  # the memory of those before comes back first
            load.control.check()
            return LoadedEngine(self._spec, worker, self.recorder, logger, load.control)

        _alive.add(worker.gone)
        worker.gone.add_done_callback(_alive.discard)
        worker.call(work, lambda engine, error: self._ended(load, engine, error))
        return load

    def _ended(self, load: Load, engine: LoadedEngine | None, error: BaseException | None) -> None:
        """On the worker's thread."""
        with _table_lock():
            wanted = load is self._load
            if wanted:
                self._load = None
                if engine is not None:
                    self._engine = engine
                else:
                    self._leaving = load.worker.gone
                    load.worker.stop()
                    self._leave_the_table()
        if engine is not None and wanted:
            load.future.set_result(engine)
        else:
            load.future.set_exception(self._load_error(error))

    def _load_error(self, error: BaseException | None) -> ParlantLocalError:
        if error is None:  # it came to its end after it was given up
            return EngineClosedError(f"Loading {self._name} was given up.", hint="Ask again to load it.")
        if isinstance(error, ParlantLocalError):
            return error
        return ModelLoadError(f"{self._spec.path} could not be loaded: {error!r}.")

    # -- failing ------------------------------------------------------------------------------------------------------

    def _failed(self, worker: Worker, failure: EngineFailedError) -> None:
        """On the worker's thread, before anybody hears of it."""
        with _table_lock():
            self._failures.append((time.monotonic(), failure.message))
            self.recorder.engine_failures += 1
            if self._engine is not None and self._engine.worker is worker:
                self._engine, self._leaving = None, worker.gone
        LoggerOfHolders(self._holders).error(
            f"{failure.message} Its requests are lost; the next one loads the model anew."
        )

    def _check_failures(self) -> None:
        if (seconds := self.blocked_seconds) > 0:
            raise EngineFailedError(
                f"The engine of {self._name} failed {_FAILURES} times within {_WINDOW_SECONDS / 60:.0f} minutes; "
                f"the last time: {self._failures[-1][1]}",
                hint=f"It is tried again in {seconds:.0f} s.",
            )

    @property
    def blocked_seconds(self) -> float:
        """How long the engine is not loaded again, since it failed too often; 0 where it may be."""
        if len(self._failures) < _FAILURES:
            return 0.0
        return max(0.0, self._failures[0][0] + _WINDOW_SECONDS - time.monotonic())


# -- the process's table ----------------------------------------------------------------------------------------------

_lock = threading.Lock()
_table: dict[_Key, Resident] = {}
_collected: deque[tuple[Resident, Holder, float]] = deque()
_alive: set[Gone] = set()
"""Of every engine's thread that has not ended."""
_ending = False


def hold(spec: EngineSpec, holder: Holder) -> Resident:
    """The place of this model with these settings, kept for ``holder`` until it is let go."""
    key = _key(spec)
    with _table_lock():
        resident = _table.setdefault(key, Resident(key, spec))
        resident._hold(holder)
        return resident


def _free_unheld() -> list[Gone]:
    """Frees engines that only linger: another model needs their place, or may make more of it."""
    unheld = [resident for resident in _table.values() if resident.engine is not None and not resident._holders]
    for resident in unheld:
        resident._free()
    return [resident._leaving for resident in unheld if resident._leaving is not None]


def let_go_when_collected(resident: Resident, holder: Holder, linger: float) -> None:
    """For finalizers: the collector runs anywhere, also where this very thread holds the table's lock."""
    _collected.append((resident, holder, linger))
    _count_out_collected()


def _count_out_collected() -> None:
    while _collected and _lock.acquire(blocking=False):
        try:
            while _collected:
                resident, holder, linger = _collected.popleft()
                resident._let_go(holder, linger)
        finally:
            _lock.release()


@contextmanager
def _table_lock() -> Iterator[None]:
    try:
        with _lock:
            yield
    finally:
        _count_out_collected()


def _key(spec: EngineSpec) -> _Key:
    try:
        path = spec.path.resolve()
        status = path.stat()
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    except (OSError, RuntimeError):  # no such file, a loop of links: loading says so
        path, stamp = spec.path, None
    settings = spec.settings.model_dump_json(exclude=set(_OF_CALLERS))
    return path, stamp, settings, spec.prefix_dir, spec.measured_dir


def _done() -> Gone:
    future: Gone = Future()
    future.set_result(None)
    return future


def check_process(resident: Resident, name: str) -> None:
    """Raises :class:`EngineError` in a process that was forked from the one that loaded."""
    if resident.pid != os.getpid():
        raise EngineError(
            f"{name} was loaded before this process was forked; its threads did not come along.",
            hint="Make backends after the fork, or start processes with the spawn method.",
        )


def _at_exit() -> None:
    """Ends what runs and gives the memory back, within a time: native code must not outlive the interpreter."""
    global _ending
    with _table_lock():
        _ending = True
        for resident in list(_table.values()):
            resident._end()
    wait_for_all(list(_alive), timeout=_EXIT_SECONDS)


def _after_fork() -> None:
    """The child has none of the parent's threads: what they hold stays as it is, and is nobody's here."""
    global _lock, _table, _collected, _alive
    _lock, _table, _collected, _alive = threading.Lock(), {}, deque(), set()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
