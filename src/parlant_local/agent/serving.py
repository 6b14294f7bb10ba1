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

from parlant_local.agent.host_output import HostOutput
from parlant_local.errors import AgentError, ConfigurationError, ParlantLocalError
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
    output: HostOutput
    """What Parlant prints."""


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
    factory: Factory,
    create: Creator,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    output: HostOutput | None = None,
) -> AsyncIterator[RunningServer]:
    """A server on ``port`` (None: a free one), ready for customers; stopped, and the model unloaded, at the end.

    ``factory`` makes the NLP service, ``create`` the agents. ``output`` takes what Parlant prints; None: its warnings go to standard
    error.
    """
    output = output or HostOutput(_printer())
    with output.taking_log():
        async with _running(factory, create, host, port or free_port(), output) as server:
            yield server


@contextlib.asynccontextmanager
async def _running(
    factory: Factory, create: Creator, host: str, port: int, output: HostOutput
) -> AsyncIterator[RunningServer]:
    tool_port = free_port()
    server = p.Server(
        host=host,
        port=port,
        tool_service_port=tool_port,
        nlp_service=factory,
        log_level=p.LogLevel.WARNING,
    )

    async def serve() -> None:
        try:
            async with server:
                await create(server)
        except SystemExit as error:  # how Parlant ends where its model's settings are wrong
            raise _reason(error) from None

    with output.capturing():
        serving = asyncio.create_task(serve())
        ready = asyncio.create_task(server.ready.wait())
        try:
            await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            if not server.ready.is_set():
                await _stopped(serving)
    if not server.ready.is_set():
        raise AgentError("The Parlant server did not start.", hint=output.last_problem)
    service = cast(LocalNLPService, server.container[NLPService])  # type: ignore[type-abstract]  # lagom resolves interfaces
    shown = f"[{host}]" if ":" in host else ("localhost" if host in ("127.0.0.1", "0.0.0.0") else host)
    try:
        yield RunningServer(f"http://{shown}:{port}", service, serving, (port, tool_port), output)
    finally:
        with output.capturing():
            await _stopped(serving)
        await service.close()


def _printer() -> Callable[[str], None]:
    stream = sys.stderr  # as it is now: later it is the output itself
    return lambda line: print(line, file=stream)


def _reason(exit_: SystemExit) -> ParlantLocalError:
    """What made Parlant exit: our own error where it is behind it."""
    cause: BaseException | None = exit_.__context__
    last = cause
    while cause is not None:
        if isinstance(cause, ParlantLocalError):
            return cause
        last, cause = cause, cause.__cause__ or cause.__context__
    return AgentError(f"The Parlant server did not start: {last}.")


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
