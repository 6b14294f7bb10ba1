"""Threads that compile. Their stacks are large, since llguidance's construction recurses as deep as a grammar does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

__all__ = ["in_compile_thread", "settled"]

T = TypeVar("T")

_STACK = 64 * 1024 * 1024  # reserved, not taken: 20,000 rules that lead into each other fit
_AT_ONCE = 8
_creating = threading.Lock()


@lru_cache(maxsize=1)
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="compile")


def in_compile_thread(work: Callable[[], T]) -> Future[T]:
    """Starts ``work`` there."""
    with _creating:  # the size of new stacks is the process's; the executor makes its threads on submission
        before = threading.stack_size(_STACK)
        try:
            return _executor().submit(work)
        finally:
            threading.stack_size(before)


async def settled(future: Future[Any]) -> None:
    """Waits until ``future`` is done, however it ended: its error is one object for all who ask, and not raised here."""
    loop = asyncio.get_running_loop()
    there = loop.create_future()

    def wake() -> None:
        if not there.done():
            there.set_result(None)

    def tell(_: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
            loop.call_soon_threadsafe(wake)

    future.add_done_callback(tell)
    await there
