"""Closing a backend where it can't be awaited: from synchronous code, and for an owner that was collected."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from parlant_local.errors import ParlantLocalError

__all__ = ["close_blocking", "close_unattended"]

Close = Callable[[], Coroutine[Any, Any, None]]


def close_blocking(close: Close) -> None:
    """Runs ``close`` to its end, in a thread of its own where an event loop runs in this one."""
    if not _in_event_loop():
        _run(close)
        return
    failures: list[BaseException] = []

    def run() -> None:
        try:
            _run(close)
        except BaseException as error:  # re-raised in the waiting thread
            failures.append(error)

    thread = threading.Thread(target=run, name="parlant-local-close", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def close_unattended(close: Close) -> None:
    """From any thread. Nothing is raised: there is no caller left to handle it."""
    if not _in_event_loop():
        _run_suppressed(close)
    elif not sys.is_finalizing():
        threading.Thread(target=_run_suppressed, args=[close], name="parlant-local-close", daemon=True).start()


def _run_suppressed(close: Close) -> None:
    with contextlib.suppress(ParlantLocalError, RuntimeError):  # RuntimeError: no new thread can be started
        _run(close)


def _run(close: Close) -> None:
    try:
        asyncio.run(close())
    except RuntimeError as error:
        # The event loop of its connections is closed, and they with it.
        if str(error) != "Event loop is closed":
            raise


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
