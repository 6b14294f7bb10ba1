"""Faults in a running server: an engine that breaks is replaced and told of; a load may be ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx2

from tests.support.eventually import eventually, wait_until

from .conftest import TINY, Server

_SLOW_LOAD = """
import sys, time
from parlant_local.engine.loading import LoadControl
on_progress = LoadControl.on_progress
def slowly(self, progress):
    print("LOADING", file=sys.stderr, flush=True)
    for _ in range(1200):  # minutes for the first tensor alone
        if not on_progress(self, progress):
            return False
        time.sleep(0.1)
    return True
LoadControl.on_progress = slowly
"""

_BREAKS = """
import pathlib
from parlant_local.engine.context import Context
decode = Context.decode
def breaking(self, batch):
    if pathlib.Path({flag!r}).exists():
        raise MemoryError
    return decode(self, batch)
Context.decode = breaking
"""

_ASK = {"model": TINY, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}


def test_an_engine_that_breaks_is_replaced_and_three_times_are_too_many(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    flag = tmp_path / "broken"
    server = start("--model", TINY, fault=_BREAKS.format(flag=str(flag)))
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        assert http.post("/v1/chat/completions", json=_ASK).status_code == 200
        for times in (1, 2):
            flag.touch()
            answer = http.post("/v1/chat/completions", json=_ASK)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_failed")
            flag.unlink()
            assert http.post("/v1/chat/completions", json=_ASK).status_code == 200
            assert (http.get("/health").status_code, http.get("/health").json()["status"]) == (200, "degraded")
            (model,) = http.get("/api/status").json()["models"].values()
            assert model["engine"]["engine_failures"] == times
        flag.touch()
        assert http.post("/v1/chat/completions", json=_ASK).status_code == 503
        flag.unlink()
        refused = http.post("/v1/chat/completions", json=_ASK)
        assert refused.status_code == 503
        assert "3 times within 10 minutes" in refused.json()["error"]["message"]
        health = http.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "failed")
        assert f'parlant_local_engine_failures_total{{model="{TINY}"}} 3.0' in http.get("/metrics").text


def test_a_signal_ends_a_load(start: Callable[..., Server]) -> None:
    server = start("--model", TINY, fault=_SLOW_LOAD)
    assert httpx2.get(server.url + "/health").json()["status"] == "loading"
    wait_until(lambda: "LOADING" in server.raw)
    assert server.stop() == 0  # which waits for a minute; the load alone would take longer


async def test_unloading_ends_a_load_and_tells_who_waits(start: Callable[..., Server]) -> None:
    server = start(fault=_SLOW_LOAD)
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
        waiting = asyncio.ensure_future(http.post("/v1/chat/completions", json=_ASK))
        await eventually(lambda: "LOADING" in server.raw)
        assert (await http.get("/api/status")).json()["models"]
        gone = await http.post("/models/unload", json={"model": TINY})
        assert gone.status_code == 200, gone.text
        answer = await waiting
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unloaded")
        assert not (await http.get("/api/status")).json()["models"]
