"""The engines of this process: one per model and settings, shared by all holders.

Concurrent loads are joined, and cancelled when no waiter is left; an engine that fails is dropped and reloaded for the next
request; the last holder unloads it. Every function may be called from any thread and any event loop.
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

from parlant_local.engine.holders import Holder, HoldersLogger
from parlant_local.engine.loaded import EngineSpec, LoadedEngine
from parlant_local.engine.loading import ABANDONED_SECONDS, LoadControl
from parlant_local.engine.stats import StatsRecorder
from parlant_local.engine.worker import Worker
from parlant_local.errors import EngineClosedError, EngineError, EngineFailedError, ModelLoadError, ParlantLocalError
from parlant_local.forking import in_forked_child
from parlant_local.paths import file_identity, user_path

__all__ = ["Holder", "Load", "Resident", "Stopped", "check_process", "hold", "release_when_collected"]

_MAX_FAILURES = 3
_FAILURE_WINDOW_SECONDS = 600.0
_EXIT_TIMEOUT_SECONDS = 1.5

# Settings of the caller, not of the engine: two that differ only in these share one engine.
_CALLER_SETTINGS = frozenset(
    {"max_queue", "stall_seconds", "memory_mb", "keep_alive_seconds", "vetting", "vetting_seconds"}
)

_Key = tuple[Any, ...]

Stopped = Future[None]
"""Done when an engine's thread has released everything."""


@dataclass(eq=False)
class Load:
    """A load in progress."""

    control: LoadControl
    worker: Worker
    waiting: int = 0
    future: Future[LoadedEngine] = field(default_factory=Future)


class Resident:
    """One engine's entry in the registry, from its first holder to its last."""

    def __init__(self, key: _Key, spec: EngineSpec) -> None:
        self.pid = os.getpid()
        self.recorder = StatsRecorder()
        """Kept when a failed engine is replaced, so that its counters go on."""
        self._engine: LoadedEngine | None = None
        self._key = key
        self._spec = spec
        self._name = spec.path.stem
        self._holders: list[Holder] = []
        self._load: Load | None = None
        self._stopping: Stopped | None = None
        self._failures: deque[tuple[float, str]] = deque(maxlen=_MAX_FAILURES)
        self._timer: threading.Timer | None = None

    @property
    def engine(self) -> LoadedEngine | None:
        """The loaded engine, if there is one and its thread is alive."""
        engine = self._engine
        return None if engine is None or engine.worker.stopped.done() else engine

    @property
    def load_progress(self) -> float | None:
        """Share of the tensors that are loaded, None where no load is in progress."""
        load = self._load
        return None if load is None else load.control.progress

    # -- holding ------------------------------------------------------------------------------------------------------

    def _add_holder(self, holder: Holder) -> None:
        if holder not in self._holders:
            self._holders.append(holder)
        self._cancel_timer()

    def release(self, holder: Holder, linger: float = 0.0) -> Stopped:
        """Removes ``holder``. The last one unloads the engine after ``linger`` seconds. The future is done once it is unloaded,
        or at once where other holders or the linger time keep it."""
        with _registry_lock():
            return self._release(holder, linger)

    def _release(self, holder: Holder, linger: float) -> Stopped:
        if holder in self._holders:
            self._holders.remove(holder)
        if not self._holders and self.pid == os.getpid():
            if self._load is not None:
                self._cancel_load(self._load)
            if self.engine is not None and linger > 0 and not _exiting:
                self._unload_after(linger)
            else:
                self._unload()
        if self._holders or self.engine is not None or self._stopping is None:
            return _done_future()
        return self._stopping

    def _unload_after(self, seconds: float) -> None:
        self._cancel_timer()
        if seconds <= threading.TIMEOUT_MAX:
            self._timer = threading.Timer(seconds, self._linger_elapsed)
            self._timer.daemon = True
            self._timer.start()

    def _linger_elapsed(self) -> None:
        with _registry_lock():
            if not self._holders:
                self._unload()

    def _unload(self) -> None:
        self._cancel_timer()
        engine, self._engine = self._engine, None
        if engine is not None:
            self._stopping = engine.worker.stopped
            engine.worker.stop()
        self._unregister()

    def _unregister(self) -> None:
        """Without holders the entry goes, and its failures with it: the next holder starts afresh."""
        if not (self._holders or self.engine or self._load) and _registry.get(self._key) is self:
            del _registry[self._key]

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _stop_at_exit(self) -> None:
        """At interpreter exit: no caller is left to notify."""
        if self._load is not None:
            self._load.control.cancel()
            self._load.worker.stop(silently=True)
        if self._engine is not None:
            self._engine.worker.stop(silently=True)

    @property
    def load(self) -> Load | None:
        """The load in progress."""
        return self._load

    # -- loading ------------------------------------------------------------------------------------------------------

    def join(self) -> Load:
        """The load in progress, or a new one; call :meth:`leave` when done waiting. Raises :class:`EngineFailedError` where the
        engine has failed too often recently."""
        with _registry_lock():
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
        with _registry_lock():
            load.waiting -= 1
            if not load.waiting and load is self._load and not _exiting:
                timer = threading.Timer(ABANDONED_SECONDS, self._cancel_if_abandoned, [load])
                timer.daemon = True
                timer.start()

    def _cancel_if_abandoned(self, load: Load) -> None:
        with _registry_lock():
            if not load.waiting and load is self._load:
                self._cancel_load(load)

    def _cancel_load(self, load: Load) -> None:
        """Cancels a load, or unloads the engine that it has just produced."""
        load.control.cancel()
        load.worker.stop()
        self._load, self._stopping = None, load.worker.stopped

    def _start(self) -> Load:
        predecessors = [stopped for stopped in (self._stopping, *_unload_unheld()) if stopped is not None]
        logger = HoldersLogger(self._holders)
        try:
            worker = Worker(self._name, logger, self.recorder, self._on_failure)
        except RuntimeError as error:
            raise ModelLoadError(
                f"{self._name} can't be loaded: {error}.", hint="The process has too many threads."
            ) from None
        load = Load(LoadControl(self._name), worker)

        def work() -> LoadedEngine:
            wait_for_all(predecessors)  # their memory has to be freed first
            load.control.check()
            return LoadedEngine(self._spec, worker, self.recorder, logger, load.control)

        _running.add(worker.stopped)
        worker.stopped.add_done_callback(_running.discard)
        worker.call(work, lambda engine, error: self._on_load_done(load, engine, error))
        return load

    def _on_load_done(self, load: Load, engine: LoadedEngine | None, error: BaseException | None) -> None:
        """On the worker's thread."""
        with _registry_lock():
            wanted = load is self._load
            if wanted:
                self._load = None
                if engine is not None:
                    self._engine = engine
                else:
                    self._stopping = load.worker.stopped
                    load.worker.stop()
                    self._unregister()
        if engine is not None and wanted:
            load.future.set_result(engine)
        else:
            load.future.set_exception(self._load_error(error))

    def _load_error(self, error: BaseException | None) -> ParlantLocalError:
        if error is None:  # it completed after it was cancelled
            return EngineClosedError(f"Loading {self._name} was cancelled.", hint="Send the request again to load it.")
        if isinstance(error, ParlantLocalError):
            return error
        return ModelLoadError(f"{self._spec.path} could not be loaded: {error!r}.")

    # -- failing ------------------------------------------------------------------------------------------------------

    def _on_failure(self, worker: Worker, failure: EngineFailedError) -> None:
        """On the worker's thread, before any caller is notified."""
        with _registry_lock():
            self._failures.append((time.monotonic(), failure.message))
            self.recorder.engine_failures += 1
            if self._engine is not None and self._engine.worker is worker:
                self._engine, self._stopping = None, worker.stopped
        HoldersLogger(self._holders).error(f"{failure.message} Its requests are lost; the next one reloads the model.")

    def _check_failures(self) -> None:
        if (seconds := self.blocked_seconds) > 0:
            raise EngineFailedError(
                f"The engine of {self._name} failed {_MAX_FAILURES} times within {_FAILURE_WINDOW_SECONDS / 60:.0f} minutes; "
                f"the last time: {self._failures[-1][1]}",
                hint=f"It can be loaded again in {seconds:.0f} s.",
            )

    @property
    def recent_failures(self) -> int:
        since = time.monotonic() - _FAILURE_WINDOW_SECONDS
        return sum(when >= since for when, _ in self._failures)

    @property
    def blocked_seconds(self) -> float:
        """Seconds until the engine may be loaded again after too many failures; 0 where it may be now."""
        if len(self._failures) < _MAX_FAILURES:
            return 0.0
        return max(0.0, self._failures[0][0] + _FAILURE_WINDOW_SECONDS - time.monotonic())


# -- the process's registry ----------------------------------------------------------------------------------------------

_lock = threading.Lock()
_registry: dict[_Key, Resident] = {}
_collected: deque[tuple[Resident, Holder, float]] = deque()
_running: set[Stopped] = set()
"""One per engine thread that has not ended."""
_exiting = False


def hold(spec: EngineSpec, holder: Holder) -> Resident:
    """The registry entry of this model and these settings, held by ``holder`` until it is released."""
    key = _key(spec)
    with _registry_lock():
        resident = _registry.setdefault(key, Resident(key, spec))
        resident._add_holder(holder)
        return resident


def _unload_unheld() -> list[Stopped]:
    """Unloads engines that only linger: the model about to load needs their memory."""
    unheld = [resident for resident in _registry.values() if resident.engine is not None and not resident._holders]
    for resident in unheld:
        resident._unload()
    return [resident._stopping for resident in unheld if resident._stopping is not None]


def release_when_collected(resident: Resident, holder: Holder, linger: float) -> None:
    """For finalizers: the collector may run while this very thread holds the registry's lock."""
    _collected.append((resident, holder, linger))
    _release_collected()


def _release_collected() -> None:
    while _collected and _lock.acquire(blocking=False):
        try:
            while _collected:
                resident, holder, linger = _collected.popleft()
                resident._release(holder, linger)
        finally:
            _lock.release()


@contextmanager
def _registry_lock() -> Iterator[None]:
    try:
        with _lock:
            yield
    finally:
        _release_collected()


def _key(spec: EngineSpec) -> _Key:
    settings = spec.settings
    projector = [] if settings.projector is None else [settings.projector]
    beside = [file_identity(user_path(path)) for path in (*settings.lora, *settings.control_vectors, *projector)]
    told = settings.model_dump_json(exclude=set(_CALLER_SETTINGS))
    return file_identity(spec.path), tuple(beside), told, spec.prefix_dir, spec.output_dir, spec.measured_dir


def _done_future() -> Stopped:
    future: Stopped = Future()
    future.set_result(None)
    return future


def check_process(resident: Resident, name: str) -> None:
    """Raises :class:`EngineError` in a process that was forked from the one that loaded."""
    if resident.pid != os.getpid():
        raise EngineError(
            f"{name} was loaded before this process was forked, and a fork does not copy its threads.",
            hint="Create backends after the fork, or start processes with the spawn method.",
        )


def _at_exit() -> None:
    """Stops all engines within a time limit: native code must not outlive the interpreter."""
    global _exiting
    with _registry_lock():
        _exiting = True
        for resident in list(_registry.values()):
            resident._stop_at_exit()
    wait_for_all(list(_running), timeout=_EXIT_TIMEOUT_SECONDS)


@in_forked_child
def _after_fork() -> None:
    """The child has none of the parent's threads, so it starts with an empty registry."""
    global _lock, _registry, _collected, _running
    _lock, _registry, _collected, _running = threading.Lock(), {}, deque(), set()


atexit.register(_at_exit)
