"""A crowd of streaming clients, some of whom leave: every answer whole or properly refused, and nothing left behind."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import httpx2
import psutil
import pytest

from tests.support.eventually import eventually

from .conftest import TINY, Server


async def _client(http: httpx2.AsyncClient, chance: random.Random, count: int, seen: Counter[str]) -> None:
    while count > 0:
        body = {
            "model": TINY,
            "messages": [{"role": "user", "content": f"Count to {chance.randrange(100)}"}],
            "max_tokens": chance.randrange(4, 48),
            "stream": True,
        }
        leave_after = chance.randrange(1, 8) if chance.random() < 0.3 else None
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.status_code == 429:
                assert answer.headers["retry-after"]
                seen["refused"] += 1
                await asyncio.sleep(0.05)
                continue
            assert answer.status_code == 200, await answer.aread()
            lines, whole = 0, False
            async for line in answer.aiter_lines():
                assert '"error"' not in line, line
                whole = whole or line == "data: [DONE]"
                lines += line.startswith("data: ")
                if leave_after is not None and lines >= leave_after:
                    break
            if leave_after is None:
                assert whole, "an answer was cut"
            seen["whole" if whole else "left"] += 1
            count -= 1


async def _crowd(server: Server, clients: int, each: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=server.url, timeout=120, limits=limits) as http:
        await asyncio.gather(*(_client(http, random.Random(number), each, seen) for number in range(clients)))
    return seen


async def _idle(server: Server) -> dict[str, int]:
    async with httpx2.AsyncClient(base_url=server.url, timeout=30) as http:

        async def idle() -> dict[str, int] | None:
            status = (await http.get("/api/status")).json()
            engine: dict[str, int] = status["models"][TINY]["engine"]
            return None if status["requests_running"] or engine["running"] or engine["waiting"] else engine

        return await eventually(idle) or {}


async def _rush(server: Server, clients: int, each: int, most_growth_mb: float) -> Counter[str]:
    process = psutil.Process(server.process.pid)
    await _crowd(server, clients, 3)  # warm: buffers and prefixes reach their size
    await _idle(server)
    before = process.memory_info().rss
    seen = await _crowd(server, clients, each)
    engine = await _idle(server)
    grown = (process.memory_info().rss - before) / 2**20
    assert seen["whole"] > clients
    assert seen["left"] > 0
    assert engine["cells_used"] == 0
    assert grown < most_growth_mb, f"{grown:.0f} MiB more"
    failed = [line for line in server.log if line.get("status", 0) >= 500 or line["level"] == "error"]
    assert [line for line in failed if not line["message"].endswith("/health")] == []  # 503 while it loaded
    return seen


async def test_a_crowd_is_served_to_the_last(start: Callable[..., Server]) -> None:
    await _rush(start("--model", TINY), clients=24, each=5, most_growth_mb=64)


@pytest.mark.evidence
async def test_two_hundred_clients(start: Callable[..., Server]) -> None:
    seen = await _rush(start("--model", TINY), clients=200, each=20, most_growth_mb=64)
    print(dict(seen))
