"""Work that is cancelled when the client disconnects or the server shuts down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from parlant_local.errors import RequestRefusedError
from parlant_local.server.draining import SHUTTING_DOWN, Drain

__all__ = ["ClientGone", "answered", "begun", "disconnected", "settle"]

T = TypeVar("T")


class ClientGone(Exception):
    """The client has disconnected."""


async def disconnected(receive: Receive) -> None:
    """Returns when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def settle(*tasks: asyncio.Future[Any]) -> None:
    """Cancels tasks and waits until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def answered(request: Request, drain: Drain, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled when the client disconnects or the server shuts down."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(disconnected(request.receive))
    expired = asyncio.ensure_future(drain.expired.wait())
    try:
        await asyncio.wait({task, gone, expired}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return _result(task)
        if expired.done():
            raise RequestRefusedError(
                SHUTTING_DOWN.status,
                SHUTTING_DOWN.message,
                code=SHUTTING_DOWN.code,
                retry_after=SHUTTING_DOWN.retry_after,
            )
        raise ClientGone
    finally:
        await settle(task, gone, expired)


async def begun(
    request: Request, items: AsyncGenerator[T, None], patience: float, drain: Drain
) -> AsyncGenerator[T, None]:
    """``items``, with the first one awaited for up to ``patience`` seconds, so that an early error gets
    its own status. A first item that takes longer is awaited by the consumer."""
    first = asyncio.ensure_future(anext(items))
    gone = asyncio.ensure_future(disconnected(request.receive))
    expired = asyncio.ensure_future(drain.expired.wait())
    try:
        await asyncio.wait({first, gone, expired}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            if not first.cancelled() and isinstance(first.exception(), StopAsyncIteration):
                return _rest(None, items)
            _result(first)
        elif gone.done():
            raise ClientGone
        # The stream itself reports a shutdown.
    except BaseException:
        await settle(first)
        await items.aclose()
        raise
    finally:
        await settle(gone, expired)
    return _rest(first, items)


async def _rest(first: asyncio.Future[T] | None, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    async with aclosing(items):
        if first is not None:
            try:
                item = await first
            except StopAsyncIteration:
                return
            finally:
                if not first.done():
                    await settle(first)
            yield item
        async for item in items:
            yield item


def _result(task: asyncio.Future[T]) -> T:
    if task.cancelled():  # cancelled internally: its model was closed
        raise RequestRefusedError(
            503, "The model was unloaded while it answered.", code="model_unloaded", retry_after=1
        )
    return task.result()
