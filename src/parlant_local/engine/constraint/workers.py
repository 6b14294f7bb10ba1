"""Threads that compile. Their stacks are large, since llguidance's construction recurses as deep as a grammar does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

__all__ = ["checked_aside", "in_compile_thread", "settled"]

T = TypeVar("T")

_STACK = 64 * 1024 * 1024  # reserved, not taken: 20,000 rules that lead into each other fit
# More than there are cores: the system shares these among them, so that a quick schema is done while slow ones go on.
_AT_ONCE = 32
_CHECKS_AT_ONCE = 2
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


@lru_cache(maxsize=1)
def _checkers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_CHECKS_AT_ONCE, thread_name_prefix="check")


async def checked_aside(check: Callable[[], T]) -> T:
    """What ``check`` says of an answer and its schema, in threads that nothing else waits for: a stranger's schema may
    take its whole time, and the loop's own threads are everybody's."""
    return await asyncio.get_running_loop().run_in_executor(_checkers(), check)


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


def _after_fork() -> None:
    """The child has none of the parent's threads, but would wait for them."""
    global _creating
    _creating = threading.Lock()
    _executor.cache_clear()
    _checkers.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
