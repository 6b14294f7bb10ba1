"""Ctrl-C, once and cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any

__all__ = ["until_interrupted"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def until_interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Runs ``work``; on SIGINT or SIGTERM cancels it, lets it clean up, and returns True.

    Parlant's web server handles these signals itself, stops serving, and leaves the rest of the host waiting; the
    event loop's own handlers still run.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        if not interrupted:  # the web server raises the signal a second time when it is done
            interrupted = True
            task.cancel()

    with contextlib.suppress(NotImplementedError):  # not on Windows, where Ctrl-C stays KeyboardInterrupt
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not interrupted:
            raise
    except Exception:
        # Errors of requests in flight are expected while the server shuts down.
        if not interrupted:
            raise
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
    return interrupted
