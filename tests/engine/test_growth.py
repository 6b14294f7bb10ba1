"""Cells on demand: a context starts with few and gets more, and its requests notice nothing but a little time."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from parlant_local.engine import LlamaEngine, account, residency, sizing
from parlant_local.engine.context import Context
from parlant_local.engine.requests import Generation, GenerationRequest, Regex
from parlant_local.engine.sizing import plan
from parlant_local.errors import InsufficientMemoryError
from parlant_local.settings import EngineSettings
from tests.support.headers import header_of

from .conftest import GENERATING, MakeEngine

_MIB = 1024 * 1024
_SYSTEM = "<|im_start|>system\nthe quick brown fox jumps over the lazy dog. " * 4
_SHAPE: dict[str, Any] = {
    "context_length": 131_072,
    "block_count": 4,
    "embedding_length": 64,
    "attention.head_count": 8,
    "rope.scaling.original_context_length": 8192,
}


@pytest.fixture
def small_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "_FIRST_CELLS", 256)
    monkeypatch.setattr(sizing, "_LEAST_FIRST_CELLS", 256)


def _requests(count: int) -> list[GenerationRequest]:
    """They share a prefix, and their answers are long."""
    long = Regex("(fox |dog |agent ){120}")
    return [GenerationRequest(f"{_SYSTEM}number {index}: ", 300, constraint=long) for index in range(count)]


async def _answers(engine: LlamaEngine, requests: list[GenerationRequest]) -> list[Generation]:
    return await asyncio.gather(*(engine.generate(request) for request in requests))


@pytest.mark.parametrize("unified", [True, False], ids=["one pool", "split"])
@pytest.mark.parametrize("name", [name for name in GENERATING if name != "mamba"])
async def test_answers_are_the_same_while_the_cache_grows_under_them(
    name: str, unified: bool, engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of memory that has cells; sequences share prefixes when they are moved."""
    settings = {"n_ctx": 2048, "n_seq_max": 4, "unified_kv": unified, "n_gpu_layers": 0}
    expected = await _answers(engine_of(name, **settings), _requests(5))
    monkeypatch.setattr(sizing, "_FIRST_CELLS", 256)
    monkeypatch.setattr(sizing, "_LEAST_FIRST_CELLS", 256)
    engine = engine_of(name, **settings, seed=1)  # another engine: the first one is shared by its settings
    await engine.load()
    moved: list[bool] = []
    resize = Context.resize

    def watched(self: Context, cells: int, *, keep: bool) -> bool:
        moved.append(keep)
        return resize(self, cells, keep=keep)

    monkeypatch.setattr(Context, "resize", watched)
    before, bytes_before = engine.stats().cells, engine.memory_bytes
    answers = await _answers(engine, _requests(5))
    assert [answer.tokens for answer in answers] == [answer.tokens for answer in expected]
    assert engine.stats().cells > before
    assert engine.memory_bytes > bytes_before
    assert any(moved), "no live sequence was moved: this test shows nothing"
    await engine.check_integrity()


@pytest.mark.usefixtures("small_start")
async def test_requests_wait_for_one_another_where_memory_refuses_more(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_ctx=2048, n_seq_max=4, n_gpu_layers=0)
    await engine.load()
    monkeypatch.setattr(account, "available_memory", lambda: 0)
    answers = await _answers(engine, [GenerationRequest(f"{_SYSTEM}{index}", 100) for index in range(4)])
    assert [len(answer.tokens) for answer in answers] == [100] * 4
    assert engine.stats().cells == 256
    assert engine.stats().failed == 0
    await engine.check_integrity()


@pytest.mark.usefixtures("small_start")
async def test_a_request_that_no_memory_is_left_for_fails_with_figures_and_alone(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_ctx=2048, n_seq_max=4, n_gpu_layers=0)
    await engine.load()
    monkeypatch.setattr(account, "available_memory", lambda: 0)
    long, small = GenerationRequest([5 + index % 200 for index in range(700)], 8), GenerationRequest("Hello", 8)
    found = await asyncio.gather(engine.generate(long), engine.generate(small), return_exceptions=True)
    assert isinstance(found[0], InsufficientMemoryError)
    assert "256 cells" in str(found[0])
    assert isinstance(found[1], Generation)
    growing = GenerationRequest(_SYSTEM, 400)  # fits at first
    with pytest.raises(InsufficientMemoryError, match="256 cells"):
        await engine.generate(growing)
    await engine.check_integrity()


@pytest.mark.usefixtures("small_start")
async def test_llama_cpp_may_refuse_as_well(engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An allocation that fails after all leaves the old cache, with what was in it."""
    engine = engine_of("llama", n_ctx=2048, n_seq_max=4, n_gpu_layers=0)
    await engine.load()
    open_ = Context._open

    def refused(self: Context, cells: int) -> None:
        if cells > 256:
            raise InsufficientMemoryError("no memory", needed=None, available=None)
        open_(self, cells)

    monkeypatch.setattr(Context, "_open", refused)
    answers = await _answers(engine, [GenerationRequest(f"{_SYSTEM}{index}", 100) for index in range(4)])
    assert [len(answer.tokens) for answer in answers] == [100] * 4
    await engine.check_integrity()


@pytest.mark.usefixtures("small_start")
async def test_retained_prefixes_go_before_a_request_has_to_wait(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_ctx=2048, n_seq_max=4, n_gpu_layers=0)
    await engine.generate(GenerationRequest("the quick brown fox " * 10, 4))
    assert engine.stats().retained_prefixes == 1
    monkeypatch.setattr(account, "available_memory", lambda: 0 if engine.stats().retained_bytes else 1 << 40)
    await engine.generate(GenerationRequest([5 + index % 200 for index in range(700)], 8))
    assert engine.stats().cells >= 700


async def test_all_models_of_the_process_count(engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "available_memory", lambda: 1 << 40)
    gc.collect()
    for stopped in residency._unload_unheld():  # what another test left lingering
        stopped.result()
    others = account.taken_in_process()
    engines = [engine_of(name, n_ctx=1024, memory_mb=64 + others // _MIB) for name in ("llama", "qwen3")]
    for engine in engines:
        await engine.load()
    taken = others + sum(engine.memory_bytes for engine in engines)
    assert account.taken_in_process() == taken
    limit = 64 + others // _MIB
    third = account.MemoryAccount(limit, lambda: 0)
    assert third.missing(limit * _MIB - taken) == 0
    assert third.missing(limit * _MIB - taken + 5) == 5
    third.close()
    await engines[0].close()
    assert account.taken_in_process() == others + engines[1].memory_bytes


def test_the_start_is_modest_and_never_more_than_asked_for() -> None:
    def cells(**values: object) -> tuple[int, int]:
        header = header_of("llama", **_SHAPE)
        layout = plan(header, "m", EngineSettings.model_validate({"n_gpu_layers": 0, **values})).layout
        return layout.cells, layout.max_cells

    assert cells()[0] == 8192
    assert cells(n_ctx=2048) == (2048, 2048 * 9)
    assert cells(n_ctx=512, n_seq_max=1) == (1024, 1024)
    assert cells(n_ctx=20_000)[0] == 8192
    assert cells(kv_tokens=50_000, n_ctx=8192) == (50_000, 50_000)


def test_the_start_is_on_the_side_of_the_rope_factors_that_it_stays_on() -> None:
    """llama.cpp takes the long or the short factors by the size of the context, for keys that are there already, too."""
    longrope = header_of("phi3", ("rope_factors_long.weight", "rope_factors_short.weight"), **_SHAPE)

    def cells(n_ctx: int) -> int:
        return plan(longrope, "m", EngineSettings(n_gpu_layers=0, n_ctx=n_ctx)).layout.cells

    assert cells(131_072) == 8192 + 256
    assert cells(8192) == 8192
    assert cells(4096) == 4096
