"""Ctrl-C, once and cleanly; twice and at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from parlant_local.stop_signals import STOP_SIGNALS, on_stop_signal

__all__ = ["until_interrupted"]


async def until_interrupted(work: Coroutine[Any, Any, None], *, stopping: Callable[[], None] = lambda: None) -> bool:
    """Runs ``work``; on a signal to stop calls ``stopping``, cancels it, lets it clean up, and returns True. A second signal ends the
    process at once, whatever it does.

    Parlant's web server handles these signals itself, stops serving, and leaves the rest of the host waiting; the
    event loop's own handlers still run.
    """
    task = asyncio.ensure_future(work)
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        # Not the loop's handlers: when the web server is done, it puts those back and raises the first signal again.
        for number in STOP_SIGNALS:
            signal.signal(number, _end)
        if not interrupted:
            interrupted = True
            stopping()
            task.cancel()

    with on_stop_signal(stop):
        try:
            await task
        except asyncio.CancelledError:
            if not interrupted:
                raise
        except Exception:
            # Errors of requests in flight are expected while the server shuts down.
            if not interrupted:
                raise
    return interrupted


def _end(number: int, _frame: FrameType | None) -> None:
    """Files are written atomically: none is left half-written."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(128 + number)
