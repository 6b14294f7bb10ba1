"""Ctrl-C, once and cleanly; twice and at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from parlant_local.stop_signals import STOP_SIGNALS, on_stop_signal

__all__ = ["until_interrupted"]

_INTERRUPTED = 130


async def until_interrupted(work: Coroutine[Any, Any, None], *, stopping: Callable[[], None] = lambda: None) -> bool:
    """Runs ``work``; on a signal to stop calls ``stopping``, cancels it, lets it clean up, and returns True. A second signal ends the
    process at once, whatever it does.

    Parlant's web servers handle these signals themselves, stop serving, and leave the rest of the host waiting; the event loop's own
    handlers still run. When a server is done, it puts the handlers back that it found, and raises the signal again.
    """
    task = asyncio.ensure_future(work)
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        again = raised.pop() if raised else None
        if interrupted and again is None:
            _end()
        for number in STOP_SIGNALS:
            signal.signal(number, _end)  # also while the loop is kept from calling this
        if not interrupted:
            interrupted = True
            stopping()
            task.cancel()

    with _raised_here() as raised, on_stop_signal(stop):
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


def _end(_number: int = 0, _frame: FrameType | None = None) -> None:
    """Files are written atomically: none is left half-written."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(_INTERRUPTED)


@contextmanager
def _raised_here() -> Iterator[list[int]]:
    """Signals that this process raises itself, which nobody has sent: handlers can't tell them from others."""
    raised: list[int] = []
    real = signal.raise_signal

    def marked(number: int) -> None:
        raised.append(number)
        real(number)

    signal.raise_signal = marked
    try:
        yield raised
    finally:
        signal.raise_signal = real
