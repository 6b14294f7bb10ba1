"""Threads that compile. Their stacks are large, since llguidance's construction recurses as deep as a grammar does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

from parlant_local.forking import in_forked_child

__all__ = ["in_compile_thread", "run_check", "wait_done"]

T = TypeVar("T")

_STACK = 64 * 1024 * 1024  # address space, not memory: 20,000 rules nested in each other fit
# More than there are cores: the system time-slices them, so a quick schema is done while slow ones go on.
_COMPILE_THREADS = 32
_CHECK_THREADS = 2
_stack_size_lock = threading.Lock()


@lru_cache(maxsize=1)
def _compile_executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_COMPILE_THREADS, thread_name_prefix="compile")


def in_compile_thread(work: Callable[[], T]) -> Future[T]:
    """Runs ``work`` on a compile thread."""
    with _stack_size_lock:  # the stack size is process-wide; the executor creates threads on submission
        before = threading.stack_size(_STACK)
        try:
            return _compile_executor().submit(work)
        finally:
            threading.stack_size(before)


@lru_cache(maxsize=1)
def _check_executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_CHECK_THREADS, thread_name_prefix="check")


async def run_check(check: Callable[[], T]) -> T:
    """Runs ``check`` (of an answer against its schema) on threads of its own: an untrusted schema may use its whole time
    limit, and the loop's default executor is shared."""
    return await asyncio.get_running_loop().run_in_executor(_check_executor(), check)


async def wait_done(future: Future[Any]) -> None:
    """Waits until ``future`` is done, however it ended. Its exception is shared by all waiters, so it isn't raised here."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    def notify(_: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the waiter with it
            loop.call_soon_threadsafe(wake)

    future.add_done_callback(notify)
    await done


@in_forked_child
def _after_fork() -> None:
    """The child has none of the parent's threads, and must not wait for them."""
    global _stack_size_lock
    _stack_size_lock = threading.Lock()
    _compile_executor.cache_clear()
    _check_executor.cache_clear()
