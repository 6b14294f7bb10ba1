"""The app in a uvicorn of this process, on a loop of its own: what it holds can be looked at from outside."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import uvicorn

from parlant_local.catalog import LocalModelManager
from parlant_local.images import ImageDirectory
from parlant_local.server.admission import ConnectionLimit
from parlant_local.server.app import create_app
from parlant_local.server.context import Context
from parlant_local.server.logs import ServerLogger
from parlant_local.server.serving import uvicorn_config
from parlant_local.settings import Settings
from tests.support.eventually import wait_until

__all__ = ["InProcess", "serving_here"]


class InProcess:
    """A running server."""

    def __init__(self, url: str, context: Context, loop: asyncio.AbstractEventLoop, log: StringIO) -> None:
        self.url, self.context, self._loop, self._log = url, context, loop, log

    @property
    def raw(self) -> str:
        """What it logged."""
        return self._log.getvalue()

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.splitlines()]

    def run(self, work: Any) -> Any:
        """The result of a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)


@contextmanager
def serving_here(settings: Settings, images: ImageDirectory | None = None) -> Iterator[InProcess]:
    log = StringIO()
    logger = ServerLogger(settings.logging, "debug", log)
    app = create_app(settings, logger=logger, manager=LocalModelManager(settings=settings), images=images)
    config = uvicorn_config(app, ConnectionLimit(settings.server), settings.server)
    config.port = 0
    server = uvicorn.Server(config)
    found: dict[str, Any] = {}

    async def serve() -> None:
        found["loop"] = asyncio.get_running_loop()
        await server.serve()

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        running = InProcess(f"http://127.0.0.1:{port}", app.state.context, found["loop"], log)
        try:
            yield running
        finally:
            running.run(app.state.context.drain.finish(0))  # who only listens keeps nobody waiting
    finally:
        server.should_exit = True
        thread.join(60)
        logger.close()
    assert not thread.is_alive()
