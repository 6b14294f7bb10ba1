"""On a CPU few run at once until somebody has an answer, and then all that share a prompt do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.context import Context
from parlant_local.engine.layout import Layout
from parlant_local.engine.requests import GenerationRequest
from parlant_local.engine.sizing import plan
from parlant_local.gguf_info import read_header
from parlant_local.settings import EngineSettings

from .conftest import MakeEngine

_SHARED = "the quick brown fox jumps over the lazy dog. " * 8


async def _most_running(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Of six calls that share a prompt: how many ran at once before the first answer, and after it."""
    finished = engine.stats().finished
    early: list[int] = []
    late: list[int] = []

    def watched(self: Context, batch: Any) -> Any:
        stats = engine.stats()
        (early if stats.finished == finished else late).append(stats.running)
        return decode(self, batch)

    decode = Context.decode
    monkeypatch.setattr(Context, "decode", watched)
    calls = [
        asyncio.create_task(engine.generate(GenerationRequest(f"{_SHARED}{index}", 24 + 8 * index)))
        for index in range(6)
    ]
    await asyncio.gather(*calls)
    monkeypatch.setattr(Context, "decode", decode)
    return max(early, default=0), max(late, default=0)


async def test_all_slots_are_used_once_a_first_request_has_finished(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_threads=2, n_gpu_layers=0)
    await engine.load()
    for _ in range(2):  # idle in between, which makes the second crowd's first answer as early as the first one's
        before, after = await _most_running(engine, monkeypatch)
        assert before == 2
        assert after >= 4


async def test_an_explicit_number_of_sequences_applies_from_the_start(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_threads=2, n_gpu_layers=0, n_seq_max=6)
    await engine.load()
    before, _ = await _most_running(engine, monkeypatch)
    assert before == 5  # one place is kept for interactive calls


async def test_an_interactive_call_joins_the_first_wave(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", n_threads=2, n_gpu_layers=0)
    await engine.load()
    long = [asyncio.create_task(engine.generate(GenerationRequest(f"{_SHARED}{i}", 200))) for i in range(3)]
    while engine.stats().running < 2:
        await asyncio.sleep(0)
    short = await engine.generate(GenerationRequest("Hello", 2, priority="interactive"))
    assert short.tokens
    assert not any(call.done() for call in long)
    for call in long:
        await call


@pytest.fixture
def layout(made: Callable[[str], Path]) -> Callable[..., Layout]:
    def of(model: str, **values: Any) -> Layout:
        settings = EngineSettings.model_validate({"n_gpu_layers": 0, "n_ctx": 512, **values})
        return plan(read_header(made(model)), model, settings).layout

    return of


@pytest.mark.parametrize(("threads", "first", "most"), [(1, 3, 9), (2, 3, 9), (4, 7, 9), (8, 15, 15)])
def test_more_threads_start_more(layout: Callable[..., Layout], threads: int, first: int, most: int) -> None:
    chosen = layout("llama", n_threads=threads)
    assert (chosen.first_wave, chosen.n_seq) == (first, most)


@pytest.mark.parametrize(("model", "changes"), [("llama", {"unified_kv": False}), ("mamba", {})])
def test_where_each_sequence_takes_memory_of_its_own_there_are_few(
    layout: Callable[..., Layout], model: str, changes: dict[str, Any]
) -> None:
    chosen = layout(model, n_threads=2, **changes)
    assert chosen.first_wave == chosen.n_seq == 3
