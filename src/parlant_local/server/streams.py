"""Streaming responses: server-sent events and JSON lines."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Literal

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from parlant_local.server.draining import SHUTTING_DOWN, Drain
from parlant_local.server.problems import Problem, problem_of
from parlant_local.server.waiting import disconnected, settle

__all__ = ["DONE", "PieceStream", "sse"]

DONE = b"data: [DONE]\n\n"

Ending = Literal["complete", "failed", "disconnected", "shutdown"]


def sse(value: Any, event: str | None = None) -> bytes:
    """One server-sent event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


class PieceStream(Response):
    """Sends ``pieces`` as they arrive, a comment as keep-alive, and an error as the last piece.

    When the client disconnects the generator is closed, which cancels its work. ``on_end`` is called with the outcome.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        drain: Drain,
        *,
        keep_alive: float,
        error: Callable[[Problem], bytes] = lambda problem: sse(problem.body),
        comment: bytes = b": waiting\n\n",
        media_type: str = "text/event-stream",
        on_end: Callable[[Ending, BaseException | None], None] | None = None,
    ) -> None:
        super().__init__(media_type=media_type, headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._pieces, self._drain = pieces, drain
        self._keep_alive, self._comment, self._error = keep_alive, comment, error
        self._on_end = on_end
        self._last = time.monotonic()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        pump = asyncio.ensure_future(self._pump(send))
        gone = asyncio.ensure_future(disconnected(receive))
        expired = asyncio.ensure_future(self._drain.expired.wait())
        ending: Ending = "failed"
        failure: BaseException | None = None
        try:
            while not (pump.done() or gone.done() or expired.done()):
                wait = max(0.01, self._keep_alive - (time.monotonic() - self._last))
                await asyncio.wait({pump, gone, expired}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                if time.monotonic() - self._last >= self._keep_alive and not pump.done() and not gone.done():
                    # Concurrently: a client that reads nothing must not delay noticing the end.
                    comment = asyncio.ensure_future(self._send(send, self._comment))
                    await asyncio.wait({comment, gone, expired}, return_when=asyncio.FIRST_COMPLETED)
                    await settle(comment)
            if pump.done() and not pump.cancelled() and pump.exception() is None:
                ending = "complete"
            elif gone.done():
                ending = "disconnected"
            else:
                ended_itself = pump.done()
                await settle(pump)
                if ended_itself:
                    failure = asyncio.CancelledError("closed") if pump.cancelled() else pump.exception()
                    problem = problem_of(failure) if failure is not None else SHUTTING_DOWN
                else:
                    ending, problem = "shutdown", SHUTTING_DOWN
                await self._send(send, self._error(problem))
            if ending != "disconnected":
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await settle(pump, gone, expired)
            await self._pieces.aclose()
            if self._on_end is not None:
                self._on_end(ending, failure)

    async def _pump(self, send: Send) -> None:
        async for piece in self._pieces:
            await self._send(send, piece)

    async def _send(self, send: Send, piece: bytes) -> None:
        if piece:
            self._last = time.monotonic()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
