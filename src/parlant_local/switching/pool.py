"""Open backends: created at the first call, reference-counted while in use, closed when retired and idle."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from parlant_local.backends.base import Backend
from parlant_local.engine.awaiting import result_of
from parlant_local.observability import Logger, NullLogger
from parlant_local.switching.targets import Target

__all__ = ["BackendPool"]


@dataclass(eq=False)
class _Entry:
    backend: Backend
    in_process: bool
    users: int = 0
    retired: bool = False
    closed: Future[None] = field(default_factory=Future)
    kept: Future[None] = field(default_factory=Future)
    """Done once it is wanted again, after it was retired."""


class BackendPool:
    """At most one backend per target id. A retired one finishes its calls in flight, then closes."""

    def __init__(self, logger: Logger | None = None) -> None:
        self._logger = logger or NullLogger()
        self._open: dict[str, _Entry] = {}
        self._closing: dict[_Entry, asyncio.Task[None]] = {}

    @property
    def in_use(self) -> Mapping[str, int]:
        """Target id to calls in flight, of every open backend."""
        return {name: entry.users for name, entry in self._open.items()}

    def peek(self, target: str) -> Backend | None:
        """The open backend of a target, without opening or holding it."""
        entry = self._open.get(target)
        return None if entry is None else entry.backend

    @contextmanager
    def lease(self, target: Target) -> Iterator[Backend]:
        """The target's backend, which stays open as long as the lease is held."""
        entry = self._open.get(target.id)
        if entry is None:
            entry = self._open[target.id] = _Entry(target.open(), target.in_process)
        entry.users += 1
        try:
            yield entry.backend
        finally:
            entry.users -= 1
            self._close_if_done(target.id, entry)
            for name in [name for name, other in self._open.items() if other.retired]:
                self._close_if_done(name, self._open[name])  # retired outside an event loop

    def retire(self, target: str) -> None:
        """Closes the target's backend as soon as no call uses it."""
        if (entry := self._open.get(target)) is not None:
            entry.retired = True
            self._close_if_done(target, entry)

    def keep(self, target: str) -> None:
        """Undoes :meth:`retire`, where the backend is still open."""
        if (entry := self._open.get(target)) is not None and entry.retired:
            entry.retired = False
            kept, entry.kept = entry.kept, Future()
            kept.set_result(None)

    async def make_room(self, wanted: str) -> bool:
        """Frees memory for loading ``wanted``: waits for retired models of this process to finish, and closes idle
        ones (they reopen on demand). False where there was none."""
        others = [(name, entry) for name, entry in self._open.items() if name != wanted and entry.in_process]
        leaving = [(entry.closed, entry.kept) for name, entry in others if entry.retired or not entry.users]
        found = bool(leaving or self._closing)
        self._close_idle(others)
        for closed, kept in leaving:
            await _first_of(closed, kept)  # a retired one may be wanted again while it finishes its calls
        self._close_idle(others)
        await self.drained()
        return found

    def _close_idle(self, entries: Iterable[tuple[str, _Entry]]) -> None:
        for name, entry in entries:
            if self._open.get(name) is entry and not entry.users and not entry.retired:
                self._start_closing(name, entry)

    async def drained(self) -> None:
        """Waits until every retired, idle backend is closed."""
        for entry in list(self._closing):
            await result_of(entry.closed)

    def release(self) -> None:
        """For an owner that was collected, from any thread: models of this process may linger, the rest is closed."""
        while self._open:
            self._open.popitem()[1].backend.release()

    async def close(self) -> None:
        """Closes them all, in use or not."""
        for name, entry in list(self._open.items()):
            self._start_closing(name, entry)
        await self.drained()

    def _close_if_done(self, target: str, entry: _Entry) -> None:
        if not entry.retired or entry.users or self._open.get(target) is not entry:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # retired from a thread without a loop: the next lease or close does it
            return
        self._start_closing(target, entry)

    def _start_closing(self, target: str, entry: _Entry) -> None:
        del self._open[target]
        task = self._closing[entry] = asyncio.get_running_loop().create_task(self._close(target, entry))
        task.add_done_callback(lambda _: self._closed(entry))  # also where the loop stops before the task starts

    async def _close(self, target: str, entry: _Entry) -> None:
        try:
            await entry.backend.close()
        except Exception as error:
            # Nothing awaits this task; the log is the only place to report it.
            self._logger.error(f"{target} did not close cleanly: {type(error).__name__}: {error}")
        else:
            self._logger.info(f"{target} is unloaded.")

    def _closed(self, entry: _Entry) -> None:
        self._closing.pop(entry, None)
        entry.closed.set_result(None)


async def _first_of(*futures: Future[None]) -> None:
    waiting = [asyncio.ensure_future(result_of(future)) for future in futures]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
