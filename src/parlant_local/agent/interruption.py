"""Ctrl-C, once and cleanly."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from parlant_local.stop_signals import on_stop_signal

__all__ = ["until_interrupted"]


async def until_interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Runs ``work``; on a signal to stop cancels it, lets it clean up, and returns True.

    Parlant's web server handles these signals itself, stops serving, and leaves the rest of the host waiting; the
    event loop's own handlers still run.
    """
    task = asyncio.ensure_future(work)
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        if not interrupted:  # the web server raises the signal a second time when it is done
            interrupted = True
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
