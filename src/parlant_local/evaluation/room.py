"""Parlant's own engine, opened for the examination: everything of a Parlant server but its doors."""

from __future__ import annotations

import contextlib
import io
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from lagom import Container

from parlant_local.errors import AgentError
from parlant_local.evaluation.reading import Exercise
from parlant_local.nlp.service import LocalNLPService

__all__ = ["component", "opened", "use_home"]


def use_home(home: Path) -> None:
    """Gives Parlant a home of the examination's own; before it is imported, since it reads this once."""
    home.mkdir(parents=True, exist_ok=True)
    os.environ["PARLANT_HOME"] = str(home)


def component(container: Container, interface: Any) -> Any:
    """What the container has for ``interface``. Types can't say it: most of the host's are abstract, and resolved by name."""
    return container[interface]


class _Over(Exception):
    """Leaves the server's context before it would serve."""


@contextlib.asynccontextmanager
async def opened(
    service: Callable[[Container], LocalNLPService], exercises: Sequence[Exercise]
) -> AsyncIterator[Container]:
    """Parlant's components with the tools of these exercises' files. What Parlant prints is dropped; its log is in its home."""
    import parlant.sdk as p
    from parlant.core.loggers import Logger
    from parlant.core.nlp.service import NLPService
    from parlant.core.services.tools.service_registry import ServiceRegistry

    from parlant_local.evaluation.tools import FileRegistry, FileTools

    tools = {exercise.file: FileTools(exercise.agent.tools) for exercise in exercises}

    async def configure(container: Container) -> Container:
        container[ServiceRegistry] = FileRegistry(tools, lambda: component(container, NLPService))  # type: ignore[type-abstract]  # lagom resolves interfaces
        return container

    def quiet_service(container: Container) -> LocalNLPService:
        # What goes wrong is part of the results; the host sets the level it was given only after this call.
        component(container, Logger).set_level(p.LogLevel.CRITICAL)
        return service(container)

    server = p.Server(
        host="127.0.0.1",
        port=0,
        tool_service_port=_free_port(),
        nlp_service=quiet_service,
        log_level=p.LogLevel.CRITICAL,
        configure_container=configure,
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            async with server:
                yield server.container
                raise _Over
    except _Over:
        pass
    except SystemExit as error:
        raise AgentError("Parlant's engine did not start.", hint="See parlant.log in its home.") from error


def _free_port() -> int:
    """For Parlant's own tool service, which it always starts; the examination has its tools in this process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
