"""Awaiting another thread's work. Any event loop may wait; one that closes does not affect the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from parlant_local.engine.failures import typed

if TYPE_CHECKING:
    from parlant_local.engine.worker import Worker

__all__ = ["on_thread", "result_of"]

T = TypeVar("T")


async def result_of(future: Future[T]) -> T:
    """The result of ``future``. Cancelling the wait does not cancel the work."""
    loop = asyncio.get_running_loop()
    done_event = asyncio.Event()

    def wake(_: Future[T]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the waiter with it
            loop.call_soon_threadsafe(done_event.set)

    future.add_done_callback(wake)
    await done_event.wait()
    return future.result()


async def on_thread(worker: Worker, function: Callable[[], T], *, batch: bool = False) -> T:
    """The result of ``function``, run on the engine's thread between two steps; exceptions become the package's errors.
    ``batch``: see :meth:`Worker.call`."""
    future: Future[T] = Future()

    def finish(value: Any, error: BaseException | None) -> None:
        if error is not None:
            future.set_exception(typed(error))
        else:
            future.set_result(value)

    worker.call(function, finish, batch=batch)
    return await result_of(future)
