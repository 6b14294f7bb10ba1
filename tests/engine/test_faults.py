"""Faults injected under the engine: each caller gets an answer or a typed error, and the next request is answered."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parlant_local.engine import intake, loaded, scheduler
from parlant_local.engine.cells import CellLedger
from parlant_local.engine.constraint import ConstraintCompiler
from parlant_local.engine.context import Batch, Context
from parlant_local.engine.embedding import EmbeddingContext
from parlant_local.engine.engine import LlamaEngine
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import library
from parlant_local.engine.prefix_disk import PrefixDisk
from parlant_local.engine.prefixes import PrefixStore
from parlant_local.engine.requests import Generation, GenerationRequest, JsonSchema
from parlant_local.engine.sequence import Sequence
from parlant_local.engine.worker import Worker
from parlant_local.errors import EngineClosedError, EngineError, EngineFailedError, ParlantLocalError
from tests.support.evidence import table, write_section

from .conftest import MakeEngine, settled
from .schemas import Batch as BatchSchema

_PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "lifetimes.md"
_SHARED = "the quick brown fox jumps over the lazy dog. " * 8


async def crowd(engine: LlamaEngine) -> list[Any]:
    """Requests of every kind at once: shared prefixes of one group and several sessions, a schema."""
    schema = JsonSchema(BatchSchema.model_json_schema())
    calls: list[Any] = [
        engine.generate(GenerationRequest(f"{_SHARED}{i}", 6, prefix_group="g", session=f"s{i}")) for i in range(3)
    ]
    calls.append(engine.generate(GenerationRequest("a list", 60, constraint=schema)))
    async with asyncio.timeout(60):
        return await asyncio.gather(*calls, return_exceptions=True)


def untyped(outcomes: list[Any]) -> list[Any]:
    return [
        outcome
        for outcome in outcomes
        if isinstance(outcome, BaseException) and not isinstance(outcome, ParlantLocalError)
    ]


class Once:
    """Stands in front of a function and fails at one call of it."""

    def __init__(self, real: Callable[..., Any], failing: Callable[[], Any], at: int) -> None:
        self.real, self.failing, self.at = real, failing, at
        self.calls = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == self.at:
            return self.failing()
        return self.real(*arguments, **options)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else lambda *arguments, **options: self(instance, *arguments, **options)


def no_memory() -> Any:
    raise MemoryError


@pytest.mark.parametrize("status", [-1, -2, -3, 3, 77])
async def test_a_step_that_fails_costs_its_requests_and_the_next_is_answered(
    status: int, engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_seq_max=4)
    await engine.load()
    failing = Once(library().llama_decode, lambda: status, at=4)
    monkeypatch.setattr(library(), "llama_decode", failing)
    outcomes = await crowd(engine)
    assert untyped(outcomes) == []
    failed = [outcome for outcome in outcomes if isinstance(outcome, EngineFailedError)]
    assert failed
    assert all(f"failed with {status}" in str(error) for error in failed)
    assert engine.stats().engine_failures == 1
    assert untyped(await crowd(engine)) == []
    assert (await engine.generate(GenerationRequest("hello", 3))).tokens


@pytest.mark.parametrize("status", [-1, -3, 1])
async def test_a_failed_embedding_costs_its_caller_alone(
    status: int, engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_seq_max=4)
    before = await engine.embed(["a text"])
    with monkeypatch.context() as patch:
        patch.setattr(library(), "llama_decode", lambda pointer, batch: status)
        with pytest.raises(EngineError, match=f"failed with {status}"):
            await engine.embed(["a text"])
    assert (await engine.embed(["a text"])).vectors == pytest.approx(before.vectors)
    assert engine.stats().engine_failures == 0


async def test_a_failed_embedding_does_not_invalidate_others_contexts(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_seq_max=4)
    before = await engine.embed(["a text"])
    monkeypatch.setattr(library(), "llama_decode", Once(library().llama_decode, lambda: -3, at=2))
    found = await asyncio.gather(*(engine.embed(["a text"] * 200) for _ in range(4)), return_exceptions=True)
    assert [type(outcome) for outcome in found].count(EngineError) == 1
    for outcome in found:
        if not isinstance(outcome, BaseException):
            assert outcome.vectors[-1] == pytest.approx(
                before.vectors[0], abs=1e-2
            )  # batches differ, and with them the last digits


@pytest.mark.parametrize("status", [1, 2], ids=["no room", "aborted"])
async def test_a_step_that_only_has_to_be_repeated_costs_nothing(
    status: int, engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_seq_max=4)
    await engine.load()
    monkeypatch.setattr(library(), "llama_decode", Once(library().llama_decode, lambda: status, at=4))
    assert [outcome for outcome in await crowd(engine) if isinstance(outcome, BaseException)] == []
    assert engine.stats().engine_failures == 0


_POINTS: dict[str, tuple[Any, str]] = {
    "tokenising": (LoadedModel, "tokenize"),
    "a sequence": (intake, "Sequence"),
    "compiling": (ConstraintCompiler, "matcher"),
    "admission": (scheduler, "choose"),
    "the batch": (Batch, "add"),
    "the books": (CellLedger, "grow"),
    "logits": (Context, "logits"),
    "sampling": (Sequence, "take"),
    "the result": (Sequence, "result"),
    "saving a state": (Context, "save"),
    "keeping a state": (PrefixStore, "add"),
    "restoring a state": (PrefixStore, "load"),
    "writing a state": (PrefixDisk, "write"),
    "embedding": (EmbeddingContext, "compute"),
}


@pytest.mark.parametrize("point", _POINTS)
async def test_running_out_of_memory_fails_the_affected_requests_and_the_next_is_answered(
    point: str, engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    owner, name = _POINTS[point]
    engine = engine_of("llama", n_seq_max=4, prefix_dir=tmp_path)
    await crowd(engine)  # so that there is something to restore
    failing = Once(getattr(owner, name), no_memory, at=1)
    monkeypatch.setattr(owner, name, failing)
    outcomes = [*await crowd(engine), *await asyncio.gather(engine.embed(["a text"]), return_exceptions=True)]
    if not failing.calls:  # nothing new to save the second time
        outcomes = await asyncio.gather(
            engine.generate(GenerationRequest("something else " * 20, 4, prefix_group="h", session="1")),
            engine.generate(GenerationRequest("something else " * 20 + "!", 4, prefix_group="h", session="2")),
            return_exceptions=True,
        )
    assert failing.calls
    assert untyped(outcomes) == []
    assert isinstance(await engine.generate(GenerationRequest(f"{_SHARED}again", 4)), Generation)
    assert len((await engine.embed(["a text"])).vectors) == 1
    await settled(engine)


@pytest.mark.evidence
async def test_the_table_of_faults(engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = []
    for point, (owner, name) in _POINTS.items():
        engine = engine_of("llama", n_seq_max=4, prefix_dir=tmp_path / point)
        await crowd(engine)
        with monkeypatch.context() as patch:
            failing = Once(getattr(owner, name), no_memory, at=1)
            patch.setattr(owner, name, failing)
            outcomes = [*await crowd(engine), *await asyncio.gather(engine.embed(["x"]), return_exceptions=True)]
            outcomes += await asyncio.gather(
                engine.generate(GenerationRequest("something else " * 20, 4, prefix_group="h", session="1")),
                engine.generate(GenerationRequest("something else " * 20 + "!", 4, prefix_group="h", session="2")),
                return_exceptions=True,
            )
        rows.append((f"MemoryError at {point}", *_told(outcomes, failing.calls), await _next(engine)))
        await engine.close()
    for status in (-3, -2, -1, 1, 2, 3):
        engine = engine_of("llama", n_seq_max=4)
        await engine.load()
        with monkeypatch.context() as patch:
            failing = Once(library().llama_decode, lambda status=status: status, at=4)
            patch.setattr(library(), "llama_decode", failing)
            outcomes = await crowd(engine)
        rows.append((f"llama_decode gives {status}", *_told(outcomes, failing.calls), await _next(engine)))
        await engine.close()
    text = table(("fault, once", "answered", "told", "the next request"), rows)
    write_section(_PAGE, "Faults in the engine", text, command="pytest -m evidence tests/engine/test_faults.py")


def _told(outcomes: list[Any], calls: int) -> tuple[str, str]:
    assert calls
    assert untyped(outcomes) == []
    failed = Counter(type(outcome).__name__ for outcome in outcomes if isinstance(outcome, BaseException))
    told = ", ".join(f"{count} × {name}" for name, count in failed.items())
    return f"{len(outcomes) - failed.total()} of {len(outcomes)}", told or "nobody"


async def _next(engine: LlamaEngine) -> str:
    failures = engine.stats().engine_failures
    assert (await engine.generate(GenerationRequest("hello", 3))).tokens
    await settled(engine)
    return "answered, by a new engine" if failures else "answered"


@pytest.mark.parametrize("point", ["saving a state", "keeping a state", "restoring a state", "writing a state"])
async def test_a_state_that_cannot_be_kept_costs_no_answer(
    point: str, engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    owner, name = _POINTS[point]

    def refuses(*arguments: Any, **options: Any) -> Any:
        raise MemoryError

    engine = engine_of("llama", n_seq_max=4, prefix_dir=tmp_path)
    await engine.load()
    monkeypatch.setattr(owner, name, refuses)
    for _ in range(2):
        assert [outcome for outcome in await crowd(engine) if isinstance(outcome, BaseException)] == []
    assert engine.stats().engine_failures == 0


@pytest.mark.skipif(os.name != "posix", reason="needs folder permissions")
async def test_a_folder_for_states_that_cannot_be_written_costs_no_answer(
    engine_of: MakeEngine, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    engine = engine_of("llama", n_seq_max=4, prefix_dir=tmp_path / "file")
    for _ in range(2):
        assert [outcome for outcome in await crowd(engine) if isinstance(outcome, BaseException)] == []


async def test_a_thread_that_dies_silently_is_detected(engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of("llama")
    await engine.load()
    with monkeypatch.context() as patch:
        patch.setattr(Worker, "_step", lambda self: no_memory())
        patch.setattr(Worker, "_fail", lambda self, error: None)
        patch.setattr(Worker, "_fail_all", lambda self, error: None)
        patch.setattr(
            engine, "settings", engine.settings.model_copy(update={"stall_seconds": 0.2})
        )  # when it is looked for
        with pytest.raises(EngineFailedError, match="ended unexpectedly"):
            await engine.generate(GenerationRequest("hello", 3))
    assert (await engine.generate(GenerationRequest("hello", 3))).tokens


async def test_a_load_that_runs_out_of_memory_is_reported_and_may_be_retried(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama")
    for owner, name in ((scheduler, "Batch"), (loaded, "Context"), (loaded, "LoadedModel")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, lambda *arguments, **options: no_memory())
            with pytest.raises(EngineError):
                await engine.load()
    assert (await engine.generate(GenerationRequest("hello", 3))).tokens


async def test_a_logger_that_raises_does_no_further_damage(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Angry:
        def __getattr__(self, level: str) -> Any:
            raise RuntimeError("a logger's own trouble")

    engine = engine_of("llama", logger=Angry())
    await engine.load()
    with monkeypatch.context() as patch:
        patch.setattr(Context, "decode", lambda self, batch: no_memory())
        with pytest.raises(EngineClosedError):
            await engine.generate(GenerationRequest("hello", 3))
    assert (await engine.generate(GenerationRequest("hello", 3))).tokens
