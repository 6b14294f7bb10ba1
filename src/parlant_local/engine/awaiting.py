"""Waiting on an event loop for what another thread does. Any loop may wait, and one that ends leaves the others alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from parlant_local.engine.failures import typed

if TYPE_CHECKING:
    from parlant_local.engine.worker import Worker

__all__ = ["on_thread", "outcome"]

T = TypeVar("T")


async def outcome(future: Future[T]) -> T:
    """What ``future`` comes to. Giving up waiting cancels nothing."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake(_: Future[T]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
            loop.call_soon_threadsafe(woken.set)

    future.add_done_callback(wake)
    await woken.wait()
    return future.result()


async def on_thread(worker: Worker, function: Callable[[], T], *, batch: bool = False) -> T:
    """The result of ``function`` on the engine's thread, between two steps; a failure is typed. ``batch``: see
    :meth:`Worker.call`."""
    future: Future[T] = Future()

    def done(value: Any, error: BaseException | None) -> None:
        if error is not None:
            future.set_exception(typed(error))
        else:
            future.set_result(value)

    worker.call(function, done, batch=batch)
    return await outcome(future)
