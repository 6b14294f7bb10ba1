"""The process: one uvicorn, its signals, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from parlant_local.catalog import LocalModelManager
from parlant_local.errors import ConfigurationError, SettingsError
from parlant_local.loopback import is_loopback
from parlant_local.observability import NullLogger
from parlant_local.server.app import create_app
from parlant_local.server.connections import connections_of
from parlant_local.server.context import Context
from parlant_local.server.crowd import Crowd, room_for
from parlant_local.server.ending import end_by_force_after
from parlant_local.server.logs import ServerLogger
from parlant_local.server.models import Models
from parlant_local.settings import Settings
from parlant_local.settings.server import ServerSettings

__all__ = ["serve", "uvicorn_config"]

# asyncio accepts as many in one turn of the loop, and where descriptors are short tries each of them in vain.
_AT_A_TIME = 64
_QUEUE = 1024  # of connections that wait in the system
_GRACE_SECONDS = 2.0  # to tell clients, and to let go of models, once the time is up
_HURRY_SECONDS = 1.5  # the same after a second signal
_TELL_AGAIN_SECONDS = 30.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HINTS: Mapping[int | None, str] = {
    errno.EADDRINUSE: "Choose another --port, or stop what uses this one.",
    errno.EACCES: "Ports below 1024 belong to the system: choose another --port.",
}


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, and leaves both ignored: a last Ctrl-C must not break the interpreter's own end.
    The process is to end then; if it does not within ``server.shutdown_seconds``, it is ended, with exit code 1.

    Raises :class:`SettingsError` where it may not or can't listen, and :class:`ModelNotFoundError` or
    :class:`InvalidModelError` for a model that the settings name and that is not here.
    """
    logger = ServerLogger(settings.logging, settings.log_level)
    app = create_app(settings, logger=logger)
    asyncio.run(_check_models(settings))
    _import_native()
    listener = _listen(settings)
    for name in ("uvicorn.error", "uvicorn", "asyncio"):
        logger.adopt(name)
    crowd = Crowd(settings.server, room_for(settings.server, logger))
    config = uvicorn_config(app, crowd, settings.server)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    logger.event("info", f"Serving at http://{shown}:{port}", host=host, port=port)
    if not is_loopback(settings.server.host):
        logger.warning("This server can be reached from other machines; traffic is not encrypted without a proxy.")
    try:
        _Server(config, app, crowd, settings.server.shutdown_seconds, logger).run(sockets=[listener])
    finally:
        listener.close()
        logger.info("The server has ended.")
        logger.close()


def _import_native() -> None:
    """What the first request would import: a second of it, in which the interpreter's lock lets nobody else be answered."""
    for name in ("llguidance", "parlant_local.engine.engine", "parlant_local.engine.saved"):
        import_module(name)
    from parlant_local.engine.native import library

    with contextlib.suppress(ConfigurationError):  # told to whoever asks for a model of this process
        library()


def uvicorn_config(app: FastAPI, crowd: Crowd, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=connections_of(crowd),
        ws="none",
        access_log=False,  # requests are logged by the app, with their ids
        log_config=None,
        server_header=False,
        proxy_headers=False,  # the door reads them, where there is a proxy
        backlog=_AT_A_TIME,
        timeout_keep_alive=math.ceil(settings.idle_seconds),
        timeout_graceful_shutdown=10,
        lifespan="on",
    )


async def _check_models(settings: Settings) -> None:
    manager = LocalModelManager(settings=settings)
    await manager.initialize()
    models = Models(settings, manager, NullLogger())
    models.directory.check()
    models.prepare()
    await models.close()


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host.strip("[]"), settings.server.port
    try:
        info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(*info[:3])  # asyncio sets options of TCP where it is told that it is TCP
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(info[4])
            listener.listen(_QUEUE)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise SettingsError(
            f"The server can't listen on {host}:{port}: {error.strerror or error}.",
            hint=_HINTS.get(error.errno, "--host (server.host) must be an address of this machine."),
        ) from None
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """On the first signal what runs may finish, while new requests are turned away; on the second it ends at once."""

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, crowd: Crowd, seconds: float, logger: ServerLogger
    ) -> None:
        super().__init__(config)
        self._app, self._crowd, self._seconds, self._logger = app, crowd, seconds, logger
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Task[None] | None = None
        self._signals = 0
        self._told_short = -math.inf

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Without uvicorn's hand-over to the earlier handlers, between which and the end a signal would be deadly."""
        if threading.current_thread() is not threading.main_thread():  # where no signals arrive
            yield
            return
        for each in _SIGNALS:
            signal.signal(each, self.handle_exit)
        try:
            yield
        finally:
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_IGN)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_trouble)
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(_QUEUE)  # asyncio takes its number for both

    async def on_tick(self, counter: int) -> bool:
        if counter % 5 == 0:
            context = getattr(self._app.state, "context", None)
            self._crowd.sweep(patient=not (isinstance(context, Context) and context.drain.expired.is_set()))
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._crowd.sweep(patient=False)
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would drop the app where it is, models and all
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's signature
        self._signals += 1
        if self._signals == 1:
            end_by_force_after(self._seconds + _GRACE_SECONDS)
        else:
            end_by_force_after(_HURRY_SECONDS)
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_DFL)  # a third one is the system's affair
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._on_signal, signal.Signals(sig).name)

    def _on_signal(self, name: str) -> None:
        context = getattr(self._app.state, "context", None)
        if not isinstance(context, Context):
            self.should_exit = True
        elif self._ending is None:
            self._ending = asyncio.ensure_future(self._end(context, name))
        if self._signals > 1:
            if isinstance(context, Context):
                context.drain.expired.set()
            self.should_exit = self.force_exit = True

    async def _end(self, context: Context, name: str) -> None:
        running = context.drain.running
        self._logger.event("info", f"{name}: shutting down.", running=running, seconds=self._seconds)
        whole = await context.drain.finish(self._seconds)
        if not whole:
            self._logger.warning("Requests that were still running ended with an error (server.shutdown_seconds).")
        self.should_exit = True

    def _on_trouble(self, loop: asyncio.AbstractEventLoop, trouble: dict[str, Any]) -> None:
        """What asyncio could only print, a traceback for each connection that found no descriptor."""
        error = trouble.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            if loop.time() - self._told_short > _TELL_AGAIN_SECONDS:
                self._told_short = loop.time()
                self._logger.error("No descriptor is left for new connections: raise `ulimit -n`.")
            return
        self._logger.event("error", str(trouble.get("message")), error=f"{type(error).__name__}: {error}")
