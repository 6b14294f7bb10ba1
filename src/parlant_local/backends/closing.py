"""Closing a backend where nobody can await it: from synchronous code, and for an owner that is gone."""

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
    if not _loop_runs_here():
        _run(close)
        return
    failures: list[BaseException] = []

    def work() -> None:
        try:
            _run(close)
        except BaseException as error:  # told in the thread that waits
            failures.append(error)

    thread = threading.Thread(target=work, name="parlant-local-close", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def close_unattended(close: Close) -> None:
    """From any thread. Nothing is raised: nobody is there to hear it."""
    if not _loop_runs_here():
        _quietly(close)
    elif not sys.is_finalizing():
        threading.Thread(target=_quietly, args=[close], name="parlant-local-close", daemon=True).start()


def _quietly(close: Close) -> None:
    with contextlib.suppress(ParlantLocalError, RuntimeError):  # RuntimeError: no thread can be begun any more
        _run(close)


def _run(close: Close) -> None:
    try:
        asyncio.run(close())
    except RuntimeError as error:
        # The loop that its connections belong to is gone, and they with it.
        if str(error) != "Event loop is closed":
            raise


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
