"""Waiting for what a test expects, instead of sleeping for as long as it usually takes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds after which something hangs; far more than anything takes on a busy machine."""
_PAUSE = 0.01


async def eventually(condition: Callable[[], T | Awaitable[T]], what: object = "what was waited for") -> T:
    """The first true value of ``condition``; the loop goes on meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"It never came: {_told(what)}")
        await asyncio.sleep(_PAUSE)


def wait_until(condition: Callable[[], T], what: object = "what was waited for") -> T:
    """The same where there is no loop."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"It never came: {_told(what)}")
        time.sleep(_PAUSE)
    return found


def _told(what: object) -> object:
    """A function is asked at the end only, for what is known then."""
    return what() if callable(what) else what
