"""People's own suites start a Parlant server per test, and the host never closes a service."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.nlp import LlamaService
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.settings import Settings
from tests.support.evidence import table, write_section
from tests.support.parlant_server import serving, three_turns

pytestmark = pytest.mark.filterwarnings("ignore")

_PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "lifetimes.md"
_MIB = 1024 * 1024


class Unclosed(LlamaService):
    """As the host leaves it."""

    async def close(self) -> None: ...


class Servers:
    """Starts servers and keeps what they left behind in figures."""

    def __init__(self) -> None:
        self.engines: set[int] = set()
        self.rows: list[tuple[int, float, int, int]] = []

    def service(self, container: Any) -> LlamaService:
        settings = Settings.load(None, **{"engine.seed": 7, "engine.n_ctx": 8192})
        return Unclosed(model_id=SHIPPED_MODEL_ID, settings=settings, container=container)

    async def start_and_stop(self, number: int, *, talk: bool) -> None:
        async def create(server: Any) -> None:
            await server.create_agent(id="one", name="One", description="Helps in a book shop.")

        async with serving(self.service, create) as running:
            if talk:
                turns = await three_turns(running.address, "one", "Hello!")
                assert turns[0].replies
            backend = running.service.backend
            assert isinstance(backend, LlamaCppBackend)
            await backend.load()
            self.engines.add(id(backend.engine._engine))
        gc.collect()
        process = psutil.Process()
        self.rows.append((number, process.memory_info().rss / _MIB, threading.active_count(), process.num_fds()))


def _engine_threads() -> int:
    return sum(thread.name == f"parlant-local-{Path(SHIPPED_MODEL_ID).name}" for thread in threading.enumerate())


async def test_servers_one_after_the_other_share_one_engine() -> None:
    servers = Servers()
    for number in range(2):
        await servers.start_and_stop(number, talk=number == 0)
    assert len(servers.engines) == 1
    assert _engine_threads() == 1


@pytest.mark.evidence
@pytest.mark.timeout(3000)
async def test_two_hundred_servers_leave_memory_and_threads_as_they_were() -> None:
    servers = Servers()
    began = time.monotonic()
    for number in range(1, 201):
        await servers.start_and_stop(number, talk=number % 20 == 1)
    seconds = time.monotonic() - began
    assert len(servers.engines) == 1
    shown = [servers.rows[i] for i in (0, 9, 49, 99, 149, 199)]
    text = table(
        ("server", "resident MiB", "threads", "descriptors"),
        [(number, f"{rss:.0f}", threads, fds) for number, rss, threads, fds in shown],
    )
    growth = (servers.rows[-1][1] - servers.rows[49][1]) / 150
    text += (
        f"\n\nOne engine served all of them; a server took {seconds / 200:.1f} s. Over the last 150 the process grew by "
        f"{growth:.2f} MiB a server, Parlant's own share included."
    )
    write_section(
        _PAGE,
        "Two hundred servers in one process",
        text,
        command="pytest -m evidence tests/journeys/test_many_servers.py",
    )
    assert servers.rows[-1][2] <= servers.rows[9][2] + 2
    assert growth < 4
    await asyncio.sleep(0)
