"""A Parlant server in this process, started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import parlant.sdk as p
from lagom import Container
from parlant.core.nlp.service import NLPService

from parlant_local.errors import AgentError, ConfigurationError
from parlant_local.nlp.service import LocalNLPService
from parlant_local.ports import own_address

__all__ = ["RunningServer", "free_port", "require_free", "running_server"]


Factory = Callable[[Container], NLPService]
Creator = Callable[[p.Server], Awaitable[None]]


@dataclass(frozen=True)
class RunningServer:
    address: str
    service: LocalNLPService
    serving: asyncio.Task[None]
    """Ends when the server does."""
    ports: tuple[int, int]
    """Parlant's API, and its tool service."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def require_free(host: str, port: int) -> None:
    """Raises :class:`ConfigurationError` where ``port`` can't be listened on, before anything is loaded."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            own_address(probe)
            probe.bind((host, port))
    except OSError as error:
        raise ConfigurationError(
            f"Can't listen on {host} port {port}: {error.strerror or error}.", hint="Choose another with --port."
        ) from None


@contextlib.asynccontextmanager
async def running_server(
    factory: Factory, create: Creator, *, host: str = "127.0.0.1", port: int | None = None
) -> AsyncIterator[RunningServer]:
    """A server on ``port`` (None: a free one), ready for customers; stopped, and the model unloaded, at the end.

    ``factory`` makes the NLP service, ``create`` the agents. Parlant's own banner and progress bars go to standard error.
    """
    port = port or free_port()
    tool_port = free_port()
    server = p.Server(
        host=host,
        port=port,
        tool_service_port=tool_port,
        nlp_service=factory,
        log_level=p.LogLevel.WARNING,
    )

    async def serve() -> None:
        async with server:
            await create(server)

    with contextlib.redirect_stdout(sys.stderr):
        serving = asyncio.create_task(serve())
        ready = asyncio.create_task(server.ready.wait())
        try:
            await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            if not server.ready.is_set():
                await _stopped(serving)
    if not server.ready.is_set():
        raise AgentError("The Parlant server did not start.", hint="See the error above.")
    service = cast(LocalNLPService, server.container[NLPService])  # type: ignore[type-abstract]  # lagom resolves interfaces
    shown = f"[{host}]" if ":" in host else ("localhost" if host in ("127.0.0.1", "0.0.0.0") else host)
    try:
        yield RunningServer(f"http://{shown}:{port}", service, serving, (port, tool_port))
    finally:
        with contextlib.redirect_stdout(sys.stderr):
            await _stopped(serving)
        await service.close()


async def _stopped(serving: asyncio.Task[None]) -> None:
    """Stops the server; raises what it failed with while starting."""
    if not serving.done():
        serving.cancel()
    try:
        await serving
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
