"""What a streamed request waits for, told until its answer begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from parlant_local.engine.watching import Standing
from parlant_local.server.shapes.answers import Progress
from parlant_local.server.waiting import settle

__all__ = ["progress_of", "with_progress"]

_EVERY_SECONDS = 0.2


def progress_of(standing: Standing | None) -> Progress | None:
    """None once it is answered."""
    if standing is None or standing.phase == "writing":
        return None
    if standing.phase == "waiting":
        return {"phase": "waiting", "ahead": standing.ahead}
    share = standing.read / standing.prompt if standing.prompt else 0.0
    return {
        "phase": "reading",
        "share": round(share, 3),
        "read": standing.read,
        "prompt": standing.prompt,
        "reused": standing.reused,
    }


async def with_progress(
    pieces: AsyncGenerator[bytes, None], progress: Callable[[], Progress | None], write: Callable[[Progress], bytes]
) -> AsyncGenerator[bytes, None]:
    """``pieces``, and before the first of them ``progress`` whenever it has changed."""
    async with aclosing(pieces):
        first = asyncio.ensure_future(anext(pieces))
        told: Progress | None = None
        try:
            while not first.done():
                await asyncio.wait({first}, timeout=_EVERY_SECONDS)
                if not first.done() and (now := progress()) is not None and now != told:
                    told = now
                    yield write(now)
            try:
                yield first.result()
            except StopAsyncIteration:
                return
        finally:
            if not first.done():
                await settle(first)
        async for piece in pieces:
            yield piece
