"""Getting a backend ready, and giving its memory back when nobody asked for that.

The host's factory call is synchronous and on the event loop, so nothing is loaded there: the first of its awaited
getters loads, in the backend's own thread. The host never closes an NLP service, so each backend is let go when its
service is collected; the engines themselves see to the interpreter's end.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable

from parlant_local.backends.base import Backend

__all__ = ["Once", "let_go_with"]


class Once:
    """Runs something once for all who wait for it. A failure is told to all of them, and the next caller tries again;
    when the last of them gives up, so does it."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._run: _Run | None = None
        self._done = False

    async def __call__(self) -> None:
        if self._done:
            return
        run = self._run
        if run is None or run.task.done() or run.task.get_loop() is not asyncio.get_running_loop():
            run = self._run = _Run(asyncio.ensure_future(self._work()))
        run.waiting += 1
        try:
            # One caller who gives up must not stop the work for the others.
            await asyncio.shield(run.task)
        finally:
            run.waiting -= 1
            if not run.waiting and not run.task.done():
                run.task.cancel()
                if self._run is run:
                    self._run = None
        self._done = True


class _Run:
    def __init__(self, task: asyncio.Future[None]) -> None:
        self.task = task
        self.waiting = 0
        task.add_done_callback(_seen)


def _seen(task: asyncio.Future[None]) -> None:
    """Every waiter may have gone; then a failure is nobody's news."""
    if not task.cancelled():
        task.exception()


def let_go_with(owner: object, *backends: Backend) -> None:
    """Let ``backends`` go when ``owner`` is collected; closing them earlier is fine."""
    for backend in backends:
        finalizer = weakref.finalize(owner, backend.let_go)
        finalizer.atexit = False  # type: ignore[misc]  # a property that the stubs miss
