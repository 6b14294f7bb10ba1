"""The engine's thread: the only one that calls llama.cpp with a context. Everything else sends it messages."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from parlant_local.engine.scheduler import Scheduler
from parlant_local.engine.sequence import Sequence
from parlant_local.engine.stats import StatsRecorder
from parlant_local.errors import EngineClosedError, EngineFailedError, ParlantLocalError
from parlant_local.observability import Logger

__all__ = ["Worker"]

_ABORT_SHARE = 0.5  # cancelling a request that makes up this share of the running batch aborts the decode


class Worker:
    """Runs steps while there is work, and single calls in between. ``on_failure`` is called on the thread when it fails."""

    def __init__(
        self,
        name: str,
        logger: Logger,
        stats: StatsRecorder,
        on_failure: Callable[[Worker, EngineFailedError], None],
    ) -> None:
        self._name = name
        self._logger = logger
        self._stats = stats
        self._on_failure = on_failure
        self._condition = threading.Condition()
        self._inbox: deque[Callable[[], None]] = deque()
        self._batches: deque[Callable[[], None]] = deque()
        self._closing = self._silent = False
        self._release: Callable[[], None] = lambda: None
        self._broken: EngineFailedError | None = None
        self._scheduler: Scheduler | None = None
        self._computing = False
        self.last_progress = time.monotonic()
        """When a step last finished."""
        self.stopped: Future[None] = Future()
        """Done when the thread has released everything."""
        self._thread = threading.Thread(target=self._run, name=f"parlant-local-{name}", daemon=True)
        self._thread.start()

    # -- from any thread ----------------------------------------------------------------------------------------------

    def call(
        self,
        function: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        *,
        batch: bool = False,
    ) -> None:
        """Runs ``function`` on the engine's thread between two steps; ``done(value, error)`` is called there too.

        ``batch``: a long computation, of which only one runs between two steps.
        """

        def run() -> None:
            try:
                value = function()
            except BaseException as error:
                done(None, error)
            else:
                done(value, None)

        self._post(run, self._batches if batch else self._inbox)

    def submit(self, sequence: Sequence) -> None:
        self._post(lambda: self._attached_scheduler.submit(sequence), self._inbox)

    def cancel(self, sequence: Sequence) -> None:
        """Takes effect within one step; aborts a running prefill that is mostly this sequence's."""
        with self._condition:
            sequence.cancelled = True
            scheduler = self._scheduler
            if self._computing and scheduler is not None and scheduler.prefill_share(sequence) >= _ABORT_SHARE:
                self._abort()
            self._condition.notify()

    def attach(self, scheduler: Scheduler, abort: Any) -> None:
        """Gives the thread its scheduler; called on the thread itself."""
        self._abort_flag = abort
        self._scheduler = scheduler

    def on_exit(self, release: Callable[[], None]) -> None:
        """Registers what the thread runs last, however it ends."""
        self._release = release

    def stop(self, *, silently: bool = False) -> None:
        """Tells the thread to end: running work is aborted and its callers get an error. ``stopped`` is done when it has ended.

        ``silently``: callers get no error, where the whole process exits.
        """
        with self._condition:
            self._closing, self._silent = True, silently
            if self._computing:
                self._abort()
            self._condition.notify()

    def _post(self, message: Callable[[], None], queue: deque[Callable[[], None]]) -> None:
        with self._condition:
            if self._closing:
                raise EngineClosedError("The engine is closed.", hint="Create a new one.")
            if self._broken is not None:
                raise EngineFailedError(self._broken.message, hint=self._broken.hint)
            queue.append(message)
            self._condition.notify()

    def _abort(self) -> None:
        self._abort_flag.set()

    @property
    def _has_messages(self) -> bool:
        return bool(self._inbox or self._batches)

    # -- on the thread ------------------------------------------------------------------------------------------------

    @property
    def _attached_scheduler(self) -> Scheduler:
        assert self._scheduler is not None
        return self._scheduler

    def _run(self) -> None:
        try:
            try:
                while self._wait():
                    self._step()
            except (
                BaseException
            ) as error:  # a failed native call or a panic in an extension: no caller may wait for ever
                self._fail(error)
            finally:
                self._fail_all(EngineClosedError("The engine was closed while the request was running."))
        finally:
            try:
                self._release_resources()
            finally:
                self.stopped.set_result(None)

    def _release_resources(self) -> None:
        release, self._release, self._scheduler = self._release, lambda: None, None
        release()

    def _fail(self, error: BaseException) -> None:
        """Fails all requests; the thread then ends, which frees context and weights."""
        reason = str(error) if isinstance(error, ParlantLocalError) else repr(error)
        failure = EngineFailedError(
            f"The engine of {self._name} failed: {reason}", hint="Send the request again: the model is reloaded."
        )
        with self._condition:
            self._broken = failure  # no message is posted from here on
        self._on_failure(self, failure)  # first, so that a caller that retries gets a new engine
        self._drain()
        self._fail_all(failure)

    def _fail_all(self, error: ParlantLocalError) -> None:
        if self._scheduler is not None and not self._silent:
            self._scheduler.fail_all(error)

    def _wait(self) -> bool:
        """Blocks until there is something to do; False when the engine closes."""
        while True:
            with self._condition:
                if self._closing:
                    self._drain()
                    return False
                if not self._has_messages and (self._scheduler is None or not self._scheduler.busy):
                    self._condition.wait()
                    continue
                messages = list(self._inbox)
                self._inbox.clear()
                if self._batches:
                    messages.append(self._batches.popleft())
            for message in messages:
                message()
            if self._scheduler is not None and self._scheduler.busy:
                return True

    def _drain(self) -> None:
        """Runs the messages that were posted too late, so that their callers get an error."""
        while self._has_messages and not self._silent:
            (self._inbox or self._batches).popleft()()

    def _step(self) -> None:
        scheduler = self._attached_scheduler
        started_at = time.perf_counter()
        if not scheduler.prepare():
            self._idle(scheduler)
            return
        with self._condition:
            self._abort_flag.clear()
            if self._closing:
                return
            self._computing = True
        decode_started = time.perf_counter()
        try:
            status = scheduler.compute()
        finally:
            with self._condition:
                self._computing = False
        decode_ended = time.perf_counter()
        scheduler.conclude(status)
        self.last_progress = time.monotonic()
        stats = self._stats
        stats.steps += 1
        stats.decode_seconds += decode_ended - decode_started
        stats.other_seconds += decode_started - started_at + time.perf_counter() - decode_ended

    def _idle(self, scheduler: Scheduler) -> None:
        """Requests wait but none may start: sleeps until a message comes or a deadline may have passed."""
        if scheduler.busy:
            with self._condition:
                if not self._has_messages and not self._closing:
                    self._condition.wait(timeout=0.05)
