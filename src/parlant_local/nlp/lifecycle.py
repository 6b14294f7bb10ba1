"""Getting a backend ready, and giving its memory back when nobody asked for that.

The host's factory call is synchronous and on the event loop, so nothing is loaded there: the first of its awaited
getters loads, in the backend's own thread. The host never closes an NLP service, so each backend is closed when its
service is collected, or at interpreter exit, whichever comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from parlant_local.backends.base import Backend
from parlant_local.errors import ParlantLocalError

__all__ = ["Loadable", "Once", "close_with"]


@runtime_checkable
class Loadable(Protocol):
    """A backend that can get ready ahead of its first call."""

    async def load(self) -> None: ...


class Once:
    """Runs something once for all who wait for it. A failure is told to all of them, and the next caller tries again."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._task: asyncio.Future[None] | None = None
        self._done = False

    async def __call__(self) -> None:
        if self._done:
            return
        task = self._task
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = self._task = asyncio.ensure_future(self._work())
        # One caller who gives up must not stop the work for the others.
        await asyncio.shield(task)
        self._done = True


def close_with(owner: object, *backends: Backend) -> None:
    """Close ``backends`` when ``owner`` is collected or the interpreter exits; closing them earlier is fine."""
    for backend in backends:
        weakref.finalize(owner, _close, backend)


def _close(backend: Backend) -> None:
    if closing := getattr(backend, "close_now", None):  # a synchronous way needs no event loop
        closing()
        return

    def run() -> None:
        with contextlib.suppress(ParlantLocalError, RuntimeError):
            # RuntimeError: the interpreter no longer starts threads, or the backend's own loop is gone; either way
            # the process ends and the system takes the memory back.
            asyncio.run(_closed(backend))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        run()
        return
    if sys.is_finalizing():
        return
    # Collected while a loop runs in this thread: nothing may block it.
    threading.Thread(target=run, name="parlant-local-close", daemon=True).start()


async def _closed(backend: Backend) -> None:
    await backend.close()
