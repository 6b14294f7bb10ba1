"""Requests of every kind, right and wrong, many of them left in the middle, while models come and go."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.settings import Settings
from tests.support import gguf_models
from tests.support.eventually import eventually
from tests.support.evidence import table, write_section
from tests.support.in_process import InProcess, serving_here

_PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "lifetimes.md"
_MIB = 1024 * 1024
_N_CTX = 1024
_WORKERS = 24
_SHARED = "You are an agent of a book shop. Guidelines apply when their conditions hold. " * 3
_SCHEMA = {
    "type": "object",
    "properties": {
        "applies": {"type": "boolean"},
        "ids": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
    },
    "required": ["applies", "ids"],
}
_TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}}},
}
# What a rude client may be told. 503: the model was unloaded under it; 409: it is in use; 429: the queue is full.
_EXPECTED = frozenset({200, 400, 404, 409, 413, 422, 429, 503})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings.load(
        None,
        **{
            "home": tmp_path / "home",
            "models_dir": tmp_path / "models",
            "engine.n_ctx": _N_CTX,
            "engine.kv_tokens": 4096,
            "engine.n_seq_max": 8,
            "engine.n_threads": 1,
            "engine.prefixes.memory_mb": 16,
            "server.idle_seconds": 600,  # a connection that the server closes while a client takes it is no loss of ours
        },
    )
    (tmp_path / "models").mkdir()
    return found


def _chat(dice: random.Random, model: str) -> dict[str, Any]:
    text = _SHARED + "word " * dice.randrange(1, 30)
    return {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": dice.randrange(1, 24),
        "temperature": dice.choice([0, 1]),
    }


_KINDS: dict[str, Callable[[random.Random, str], tuple[str, str, Any]]] = {
    "chat": lambda dice, model: ("POST", "/v1/chat/completions", _chat(dice, model)),
    "stream": lambda dice, model: ("POST", "/v1/chat/completions", {**_chat(dice, model), "stream": True}),
    "schema": lambda dice, model: (
        "POST",
        "/v1/chat/completions",
        {**_chat(dice, model), "max_tokens": 60, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": _SCHEMA}}},
    ),
    "tools": lambda dice, model: ("POST", "/v1/chat/completions", {**_chat(dice, model), "max_tokens": 60, "tools": [_TOOL], "tool_choice": "required"}),
    "several": lambda dice, model: ("POST", "/v1/chat/completions", {**_chat(dice, model), "n": 3, "temperature": 1}),
    "completion": lambda dice, model: ("POST", "/v1/completions", {"model": model, "prompt": "once upon " * dice.randrange(1, 20), "max_tokens": 8}),
    "embedding": lambda dice, model: ("POST", "/v1/embeddings", {"model": model, "input": ["a text"] * dice.randrange(1, 6)}),
    "tokenize": lambda dice, model: ("POST", "/tokenize", {"model": model, "content": "some text"}),
    "detokenize": lambda dice, model: ("POST", "/detokenize", {"model": model, "tokens": [5, 6, dice.choice([7, 10**9])]}),
    "oversize": lambda dice, model: ("POST", "/v1/chat/completions", {**_chat(dice, model), "messages": [{"role": "user", "content": "word " * 5000}]}),
    "bad schema": lambda dice, model: (
        "POST",
        "/v1/chat/completions",
        {**_chat(dice, model), "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "minLength": 10, "maxLength": 2}}}},
    ),
    "bad body": lambda dice, model: ("POST", "/v1/chat/completions", dice.choice([{}, [], {"model": model, "messages": 3}, {"messages": []}])),
    "unknown model": lambda dice, model: ("POST", "/v1/chat/completions", _chat(dice, f"model-{dice.randrange(10**6)}")),
    "nowhere": lambda dice, model: ("GET", f"/nowhere/{dice.randrange(10**6)}", None),
    "looking": lambda dice, model: ("GET", dice.choice(["/health", "/metrics", "/api/status", "/v1/models"]), None),
    "load": lambda dice, model: ("POST", "/models/load", {"model": model}),
    "unload": lambda dice, model: ("POST", "/models/unload", {"model": model}),
}  # fmt: skip
_WEIGHTS = [8, 8, 8, 4, 2, 4, 3, 3, 3, 3, 2, 3, 2, 1, 6, 1, 1]


async def _one(http: httpx2.AsyncClient, dice: random.Random, models: list[str], seen: Counter[str]) -> None:
    kind = dice.choices(list(_KINDS), _WEIGHTS)[0]
    method, path, body = _KINDS[kind](dice, dice.choice(models))
    headers = {"x-request-id": f"r{dice.randrange(10**9)}"}
    call = asyncio.ensure_future(http.request(method, path, json=body, headers=headers))
    if dice.random() < 0.25:
        await asyncio.wait([call], timeout=dice.random() ** 3)
        if not call.done():
            call.cancel()
            await asyncio.wait([call])
            seen[f"{kind}: left"] += 1
            return
    answer = await call
    assert answer.status_code in _EXPECTED, (kind, answer.status_code, answer.text[:300])
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"]
    elif kind == "stream":
        assert answer.text.rstrip().endswith("data: [DONE]")
    seen[f"{kind}: {answer.status_code}"] += 1


async def _soak(server: InProcess, count: int, models: list[str]) -> tuple[Counter[str], list[float]]:
    seen: Counter[str] = Counter()
    memory: list[float] = []
    todo = iter(range(count))
    process = psutil.Process()
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=server.url, timeout=120, limits=limits) as http:

        async def worker(number: int) -> None:
            dice = random.Random(number)
            for done in todo:
                await _one(http, dice, models, seen)
                if done % max(1, count // 40) == 0:
                    memory.append(process.memory_info().rss / _MIB)

        await asyncio.gather(*(worker(number) for number in range(_WORKERS)))
    return seen, memory


async def _left_over(server: InProcess) -> dict[str, Any]:
    """What still runs on the server's side, once it has had time to notice who left; the engines' books are checked."""
    context = server.context

    def users() -> int:
        return sum(place.users for place in context.models.pool.status().values())

    def quiet() -> bool:
        busy = any(item.running or item.waiting for item in context.engine_stats().values())
        return not context.drain.running and not users() and not busy

    await eventually(quiet)
    for backend in context.models.pool.loaded().values():
        await backend.engine.check_integrity()
        assert backend.engine._engine is not None
        assert not backend.engine._engine.sinks
        assert not backend.engine._engine.requests
    return {"requests": context.drain.running, "users": users(), "tasks": len(asyncio.all_tasks())}


def _collect() -> None:
    """Clients that leave while they connect, and tests before this one, leave sockets to the collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def _run(settings: Settings, count: int) -> tuple[Counter[str], list[float], dict[str, Any]]:
    manager = LocalModelManager(settings=settings)
    await manager.initialize()
    for name in ("llama", "qwen2"):
        gguf_models.__dict__[name](settings.models_dir / f"{name}.gguf")
    await manager.initialize()
    models = [model.id for model in manager.list_models() if model.path and model.path.parent == settings.models_dir]
    assert len(models) == 2
    _collect()
    with serving_here(settings) as server:
        await asyncio.to_thread(lambda: None)
        seen, memory = await _soak(server, count, models)
        left = await asyncio.to_thread(server.run, _left_over(server))
        _collect()
        memory.append(psutil.Process().memory_info().rss / _MIB)
    return seen, memory, left


def _lost(seen: Counter[str], count: int) -> int:
    return count - sum(seen.values())


@pytest.mark.timeout(280)
async def test_six_hundred_requests_leave_nothing_behind(settings: Settings) -> None:
    seen, memory, left = await _run(settings, 600)
    assert _lost(seen, 600) == 0
    assert (left["requests"], left["users"]) == (0, 0)
    assert {kind.split(":")[0] for kind in seen} == set(_KINDS)
    assert memory[-1] - memory[len(memory) // 2] < 64


@pytest.mark.evidence
@pytest.mark.timeout(7200)
async def test_a_hundred_thousand_requests_leave_nothing_behind(settings: Settings) -> None:
    count = int(os.environ.get("SOAK_REQUESTS", "100000"))
    began = time.monotonic()
    seen, memory, left = await _run(settings, count)
    seconds = time.monotonic() - began
    kinds = sorted({kind.split(":")[0] for kind in seen})
    rows = [
        (kind, *(sum(n for key, n in seen.items() if key == f"{kind}: {end}") for end in ("200", "left")),
         sum(n for key, n in seen.items() if key.startswith(f"{kind}: ") and key[-3:] not in ("200", "eft")))
        for kind in kinds
    ]  # fmt: skip
    text = table(("kind", "answered", "left by the client", "refused (4xx, 503)"), rows)
    text += (
        f"\n\n{count} requests in {seconds:.0f} s, none lost; afterwards nothing ran, nobody used a model, and the engines' "
        f"books were right. Process (clients included), at a quarter, half, three quarters and the end: "
        f"{', '.join(f'{memory[len(memory) * part // 4 - 1]:.0f}' for part in (1, 2, 3, 4))} MiB."
    )
    write_section(_PAGE, "A soak over HTTP", text, command="pytest -m evidence tests/server/test_soak.py")
    assert _lost(seen, count) == 0
    assert (left["requests"], left["users"]) == (0, 0)
    assert memory[-1] - memory[len(memory) // 2] < 64
