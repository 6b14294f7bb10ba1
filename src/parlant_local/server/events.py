"""Events about models, published to all subscribers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

__all__ = ["Events"]

_MAX_KEPT = 256


class Events:
    """Belongs to one event loop. A slow subscriber loses the oldest events, never the newest."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self._closed = False

    def publish(self, kind: str, **facts: Any) -> None:
        event = {"event": kind, "time": round(time.time(), 3), **facts}
        self._put(event)

    def close(self) -> None:
        """Ends all subscriptions, and accepts no new ones."""
        self._closed = True
        self._put(None)

    def _put(self, event: dict[str, Any] | None) -> None:
        for inbox in self._listeners:
            if inbox.full():
                inbox.get_nowait()
            inbox.put_nowait(event)

    async def subscribe(self) -> AsyncGenerator[dict[str, Any], None]:
        inbox: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(_MAX_KEPT)
        self._listeners.add(inbox)
        try:
            while not self._closed and (event := await inbox.get()) is not None:
                yield event
        finally:
            self._listeners.discard(inbox)
