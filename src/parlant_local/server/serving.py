"""The server process: uvicorn, signals, and graceful shutdown."""

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
from parlant_local.ports import own_address
from parlant_local.server.admission import ConnectionLimit, connection_capacity
from parlant_local.server.announcing import announced
from parlant_local.server.app import create_app
from parlant_local.server.connections import connections_of
from parlant_local.server.context import Context
from parlant_local.server.forced_exit import exit_after
from parlant_local.server.logs import ServerLogger
from parlant_local.server.models import Models
from parlant_local.settings import Settings
from parlant_local.settings.server import ServerSettings
from parlant_local.stop_signals import STOP_SIGNALS

__all__ = ["serve", "uvicorn_config"]

# asyncio accepts this many per turn of the loop; without free descriptors each attempt fails.
_ACCEPT_BATCH = 64
_QUEUE = 1024  # of connections not accepted yet
_GRACE_SECONDS = 2.0  # to send errors and unload models after the timeout
_FORCED_GRACE_SECONDS = 1.5  # the same after a second signal
_LOG_INTERVAL_SECONDS = 30.0
_HINTS: Mapping[int | None, str] = {
    errno.EADDRINUSE: "Choose another --port, or stop the program that uses this one.",
    errno.EACCES: "Ports below 1024 need privileges: choose another --port.",
}


def serve(settings: Settings) -> None:
    """Serves until a signal to stop (:data:`STOP_SIGNALS`), and leaves them ignored: a last Ctrl-C must not break the interpreter's shutdown.
    If the process has not ended after ``server.shutdown_seconds``, it exits with code 1.

    Raises :class:`SettingsError` where it can't listen, and :class:`ModelNotFoundError` or
    :class:`InvalidModelError` for a configured model that is not available.
    """
    logger = ServerLogger(settings.logging, settings.log_level)
    app = create_app(settings, logger=logger)
    asyncio.run(_check_models(settings))
    _import_native(settings, logger)
    listener = _listen(settings)
    for name in ("uvicorn.error", "uvicorn", "asyncio"):
        logger.adopt(name)
    connection_limit = ConnectionLimit(settings.server, connection_capacity(settings.server, logger))
    config = uvicorn_config(app, connection_limit, settings.server)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    logger.event("info", f"Serving at http://{shown}:{port}", host=host, port=port)
    if not is_loopback(settings.server.host):
        logger.warning("This server can be reached from other machines; without a TLS proxy, traffic is not encrypted.")
    try:
        with announced(settings.home, host, port, logger):
            _Server(config, app, connection_limit, settings.server.shutdown_seconds, logger).run(sockets=[listener])
    finally:
        listener.close()
        logger.info("The server has stopped.")
        logger.close()


def _import_native(settings: Settings, logger: ServerLogger) -> None:
    """Imports what the first request needs: it takes a second, during which the GIL blocks other requests."""
    for name in ("llguidance", "parlant_local.engine.engine", "parlant_local.engine.saved"):
        import_module(name)
    from parlant_local.engine.loading import LoadControl
    from parlant_local.engine.native import library
    from parlant_local.engine.vetting import verdicts_file
    from parlant_local.engine.vetting.soundness import ensure_sound

    with contextlib.suppress(ConfigurationError):  # reported by requests for local models
        ensure_sound(settings.engine.library, verdicts_file(settings.home), LoadControl("llama.cpp"), logger)
        library(settings.engine.library)


def uvicorn_config(app: FastAPI, connection_limit: ConnectionLimit, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=connections_of(connection_limit),
        ws="none",
        access_log=False,  # requests are logged by the app, with their ids
        log_config=None,
        server_header=False,
        proxy_headers=False,  # read by Guard, for trusted proxies
        backlog=_ACCEPT_BATCH,
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
        listener = socket.socket(*info[:3])  # asyncio sets TCP options only where the protocol says TCP
        try:
            own_address(listener)
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
    """On the first signal running requests may finish, while new ones are rejected; on the second it stops at once."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: FastAPI,
        connection_limit: ConnectionLimit,
        seconds: float,
        logger: ServerLogger,
    ) -> None:
        super().__init__(config)
        self._app, self._crowd, self._seconds, self._logger = app, connection_limit, seconds, logger
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain_task: asyncio.Task[None] | None = None
        self._signals = 0
        self._descriptors_logged_at = -math.inf

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Without uvicorn's restoring of the earlier handlers, after which a signal would kill the process."""
        if threading.current_thread() is not threading.main_thread():  # where no signals arrive
            yield
            return
        for each in STOP_SIGNALS:
            signal.signal(each, self.handle_exit)
        try:
            yield
        finally:
            for each in STOP_SIGNALS:
                signal.signal(each, signal.SIG_IGN)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_loop_error)
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(_QUEUE)  # asyncio uses one number for both

    async def on_tick(self, counter: int) -> bool:
        if counter % 5 == 0:
            context = getattr(self._app.state, "context", None)
            self._crowd.sweep(patient=not (isinstance(context, Context) and context.drain.expired.is_set()))
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._crowd.sweep(patient=False)
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would skip the app's shutdown
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's signature
        self._signals += 1
        if self._signals == 1:
            exit_after(self._seconds + _GRACE_SECONDS)
        else:
            exit_after(_FORCED_GRACE_SECONDS)
            for each in STOP_SIGNALS:
                signal.signal(each, signal.SIG_DFL)  # a third one kills the process
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._on_signal, signal.Signals(sig).name)

    def _on_signal(self, name: str) -> None:
        context = getattr(self._app.state, "context", None)
        if not isinstance(context, Context):
            self.should_exit = True
        elif self._drain_task is None:
            self._drain_task = asyncio.ensure_future(self._drain_and_stop(context, name))
        if self._signals > 1:
            if isinstance(context, Context):
                context.drain.expired.set()
            self.should_exit = self.force_exit = True

    async def _drain_and_stop(self, context: Context, name: str) -> None:
        running = context.drain.running
        self._logger.event("info", f"{name}: shutting down.", running=running, seconds=self._seconds)
        whole = await context.drain.finish(self._seconds)
        if not whole:
            self._logger.warning("Requests that were still running were aborted (server.shutdown_seconds).")
        self.should_exit = True

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, details: dict[str, Any]) -> None:
        """Logs what asyncio would print: a traceback for each connection without a descriptor."""
        error = details.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            if loop.time() - self._descriptors_logged_at > _LOG_INTERVAL_SECONDS:
                self._descriptors_logged_at = loop.time()
                self._logger.error("No file descriptors are left for new connections: raise `ulimit -n`.")
            return
        self._logger.event("error", str(details.get("message")), error=f"{type(error).__name__}: {error}")
