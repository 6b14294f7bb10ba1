"""A real Parlant server over a given service, and what its log said meanwhile."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from parlant_local.agent.customer import Customer, Turn
from parlant_local.agent.serving import RunningServer, running_server
from tests.support.host_pauses import leave_out

HOME = Path(os.environ["PARLANT_HOME"])
LOG = HOME / "parlant.log"


@asynccontextmanager
async def serving(factory: Any, create: Any) -> AsyncIterator[RunningServer]:
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # of Parlant's own dependencies
        leave_out(patch)
        async with running_server(factory, create) as server:
            yield server
        await close_sockets(*server.ports)


async def close_sockets(*ports: int) -> None:
    """Those at ``ports``, or all of this loop. The host cancels uvicorn without its shutdown, which leaves its listening
    socket to the loop, and connections that have not yet noticed that their other end is gone."""
    loop = asyncio.get_running_loop()

    def meant(*ends: Any) -> bool:
        return not ports or any(isinstance(end, tuple) and end[1] in ports for end in ends)

    for found in gc.get_objects():
        kind = type(found)  # isinstance would ask a weak proxy for the class of what may be gone
        if issubclass(kind, asyncio.base_events.Server):
            if found.get_loop() is loop and meant(*(each.getsockname() for each in found.sockets)):
                found.close()
        elif issubclass(kind, asyncio.Transport) and getattr(found, "_loop", None) is loop and not found.is_closing():
            ends = (found.get_extra_info("sockname"), found.get_extra_info("peername"))
            if any(ends) and meant(*ends):
                found.abort()
    await asyncio.sleep(0.01)  # transports close in the loop's next rounds
    gc.collect()


@contextmanager
def host_log() -> Iterator[list[str]]:
    """Lines of warnings and errors that the host and our service logged meanwhile."""
    start = LOG.stat().st_size if LOG.exists() else 0
    lines: list[str] = []
    yield lines
    with LOG.open(encoding="utf-8", errors="replace") as file:
        file.seek(start)
        lines += [line for line in file if "warning" in line or "error" in line or "critical" in line]


async def three_turns(address: str, agent_id: str, *questions: str) -> list[Turn]:
    async with Customer(address, agent_id) as customer:
        return [await customer.say(question) for question in questions]


QUESTIONS = ("Hello! What can you do for me?", "What is the status of order 4711?", "When are you open on Saturday?")
