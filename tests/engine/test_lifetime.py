"""Loading, closing, failing: memory comes back, nobody hangs, every failure has a type."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from parlant_local.engine import LlamaEngine, sizing
from parlant_local.engine.context import Context
from parlant_local.engine.requests import Choices, GenerationRequest, JsonSchema
from parlant_local.engine.scheduler import Scheduler
from parlant_local.engine.sequence import Sequence
from parlant_local.errors import (
    EngineClosedError,
    EngineError,
    EngineFailedError,
    InsufficientMemoryError,
    InvalidModelError,
    ModelLoadError,
    UnsupportedModelError,
)
from parlant_local.observability import NullLogger
from tests.support import gguf_models
from tests.support.eventually import PATIENCE, eventually

from .conftest import MakeEngine, settings_of, settled
from .schemas import Batch

_PROMPT = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
_LONG = GenerationRequest([3] * 3000, 500)


def _rss() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


# -- memory -----------------------------------------------------------------------------------------------------------


async def _ten_cycles(path: Path) -> tuple[int, int, list[int]]:
    after: list[int] = []
    loaded = 0
    before = _rss()
    for _ in range(10):
        engine = LlamaEngine(path, settings=settings_of(n_ctx=4096, use_mmap=False), logger=NullLogger())
        await engine.generate(GenerationRequest([7] * 40, 4))
        await engine.generate(GenerationRequest("hello", 30, constraint=JsonSchema({"type": "object"})))
        loaded = max(loaded, _rss())
        await engine.close()
        after.append(_rss())
    return before, loaded, after


@pytest.mark.timeout(240)
def test_loading_and_closing_ten_times_frees_the_memory(made: Callable[[str], Path]) -> None:
    """From the third cycle on less than 1 MB a cycle; what stays is within 5 % of what was loaded.

    In a process of its own: what hundreds of other tests leave to the garbage collector is not the engine's.
    """
    code = (
        "import asyncio, json, pathlib, sys; from tests.engine.test_lifetime import _ten_cycles; "
        "print(json.dumps(asyncio.run(_ten_cycles(pathlib.Path(sys.argv[1])))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(made("slow"))],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    before, loaded, after = json.loads(done.stdout.splitlines()[-1])
    growth = (after[-1] - after[2]) / 7
    mib = 1024 * 1024
    print(
        f"RSS {before / mib:.0f} MiB, loaded {loaded / mib:.0f}, after each close {[a // mib for a in after]}, {growth / mib:.2f} a cycle"
    )
    assert growth < mib
    assert after[-1] - after[0] < 0.05 * (loaded - before)


async def test_a_closed_engine_leaves_no_references_even_before_garbage_collection(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    await engine.generate(GenerationRequest([7] * 200, 4))
    room = engine._engine
    assert room is not None
    traces = [weakref.ref(room), weakref.ref(room.model), weakref.ref(room._context), weakref.ref(room._scheduler)]
    del room
    gc.collect()
    gc.disable()
    try:
        await engine.close()
        assert [trace() for trace in traces] == [None] * 4
    finally:
        gc.enable()


# -- closing ----------------------------------------------------------------------------------------------------------


async def test_closing_fails_what_runs_and_what_waits_and_may_be_repeated(engine_of: MakeEngine) -> None:
    engine = engine_of("slow", n_seq_max=1, n_ctx=4096)
    await engine.load()
    tasks = [asyncio.create_task(engine.generate(_LONG)) for _ in range(3)]
    await eventually(lambda: engine.stats().running == 1 and engine.stats().waiting == 2)
    await asyncio.gather(engine.close(), engine.close())
    assert not engine.loaded
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, EngineClosedError)
    await engine.close()
    for call in (lambda: engine.generate(_LONG), lambda: engine.embed(["x"]), engine.load, engine.check_integrity):
        with pytest.raises(EngineClosedError):
            await call()
    assert not engine.stats().loaded


async def test_closing_while_it_loads_leaves_nothing_loaded(made: Callable[[str], Path]) -> None:
    engine = LlamaEngine(made("slow"), settings=settings_of(), logger=NullLogger())
    loading = asyncio.create_task(engine.load())
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(EngineClosedError):
        await loading
    assert not engine.loaded
    # Its memory is back; the thread itself has a few instructions left.
    await eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("parlant-local-slow")])


def test_a_load_that_loses_its_event_loop_can_be_tried_again_on_another(made: Callable[[str], Path]) -> None:
    engine = LlamaEngine(made("slow"), settings=settings_of(), logger=NullLogger())

    async def begin() -> None:
        task = asyncio.create_task(engine.load())
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(begin())
    assert not engine.loaded

    async def again() -> None:
        async with engine:
            assert (await engine.generate(GenerationRequest("hello", 2))).tokens

    asyncio.run(again())


def test_a_loop_that_dies_leaves_an_engine_that_works_on_the_next(made: Callable[[str], Path]) -> None:
    engine = LlamaEngine(made("slow"), settings=settings_of(n_seq_max=2), logger=NullLogger())

    left: list[asyncio.Task[Any]] = []

    async def abandon() -> None:
        await engine.load()
        for i in range(4):
            left.append(asyncio.create_task(engine.generate(GenerationRequest(f"{_PROMPT}{i}", 400))))
        await eventually(lambda: engine.stats().running)

    asyncio.run(abandon())  # cancels them on its way out; their results meet a closed loop

    async def go_on() -> None:
        answer = await engine.generate(GenerationRequest(_PROMPT, 3))
        assert answer.tokens
        await settled(engine)

    asyncio.run(go_on())
    assert all(task.done() for task in left)
    assert any(task.cancelled() for task in left)
    engine.close_now()
    engine.close_now()


async def test_requests_from_several_threads_with_loops_of_their_own_are_served(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", n_seq_max=4)
    await engine.load()

    def elsewhere(i: int) -> tuple[int, ...]:
        return asyncio.run(engine.generate(GenerationRequest(f"{_PROMPT}{i % 2}", 10))).tokens

    answers = await asyncio.gather(*(asyncio.to_thread(elsewhere, i) for i in range(6)))
    assert len(set(answers)) <= 2


# -- failing ----------------------------------------------------------------------------------------------------------


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


async def test_a_file_that_is_no_model_is_an_error_of_its_kind(made: Callable[[str], Path], tmp_path: Path) -> None:
    good = made("llama").read_bytes()
    folder = tmp_path / "folder.gguf"
    folder.mkdir()
    bad = {
        tmp_path / "missing.gguf": InvalidModelError,
        folder: InvalidModelError,
        _write(tmp_path / "empty.gguf", b""): InvalidModelError,
        _write(tmp_path / "text.gguf", b"this is no model at all" * 10): InvalidModelError,
        _write(tmp_path / "half.gguf", good[: len(good) // 2]): InvalidModelError,
        _write(tmp_path / "header.gguf", good[:2000]): InvalidModelError,
        _write(tmp_path / "alien.gguf", good.replace(b"llama", b"allma")): UnsupportedModelError,
    }
    for path, kind in bad.items():
        engine = LlamaEngine(path, settings=settings_of(), logger=NullLogger())
        with pytest.raises(kind, match=path.name):
            await engine.load()
        await engine.close()
    assert issubclass(UnsupportedModelError, ModelLoadError)


async def test_the_reason_of_a_failed_load_is_its_own_while_others_load(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    strange = tmp_path / "strange.gguf"
    strange.write_bytes(made("llama").read_bytes().replace(b"llama", b"lrama"))

    async def fails() -> None:
        with pytest.raises(UnsupportedModelError, match="lrama"):
            await LlamaEngine(strange, settings=settings_of(), logger=NullLogger()).load()

    async def loads() -> None:
        async with LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger()) as engine:
            await engine.load()

    for _ in range(5):
        await asyncio.gather(*(task() for _ in range(4) for task in (fails, loads)))


async def test_a_failed_load_may_be_tried_again(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "later.gguf"
    engine = LlamaEngine(path, settings=settings_of(), logger=NullLogger())
    outcomes = await asyncio.gather(*(engine.load() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, InvalidModelError) for outcome in outcomes)
    shutil.copy(made("llama"), path)
    assert (await engine.generate(GenerationRequest("hello", 2))).tokens
    await engine.close()


async def test_what_does_not_fit_is_refused_with_figures(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "available_memory", lambda: 40 * 1024 * 1024)
    engine = LlamaEngine(made("slow"), settings=settings_of(n_ctx=16384), logger=NullLogger())
    with pytest.raises(InsufficientMemoryError) as refused:
        await engine.load()
    assert refused.value.needed > refused.value.available == 40 * 1024 * 1024
    for word in ("weights", "KV cache", "compute"):
        assert word in str(refused.value)
    await engine.close()


async def test_a_context_that_does_not_fit_is_shrunk_with_a_message(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    class Listening(NullLogger):
        def warning(self, message: str) -> None:
            said.append(message)

    weights = made("slow").stat().st_size
    monkeypatch.setattr(sizing, "available_memory", lambda: weights + 120 * 1024 * 1024)
    engine = LlamaEngine(made("slow"), settings=settings_of(n_ctx=None, n_seq_max=2, n_ubatch=64), logger=Listening())
    await engine.load()
    assert 256 <= engine.n_ctx < 16384
    assert any(str(engine.n_ctx) in message and "n_ctx" in message for message in said)
    await engine.close()


async def test_a_request_that_fails_inside_fails_alone(engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of("llama", n_seq_max=4)
    await engine.load()
    take = Sequence.take

    def broken(self: Sequence, logits: Any) -> None:
        if self.request.session == "cursed":
            raise RuntimeError("a grammar panicked")
        take(self, logits)

    monkeypatch.setattr(Sequence, "take", broken)
    outcomes = await asyncio.gather(
        engine.generate(GenerationRequest(_PROMPT, 5)),
        engine.generate(GenerationRequest(_PROMPT, 5, session="cursed")),
        engine.generate(GenerationRequest(_PROMPT + "x", 5)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], EngineError)
    assert "a grammar panicked" in str(outcomes[1])
    assert not isinstance(outcomes[0], BaseException)
    assert not isinstance(outcomes[2], BaseException)


@pytest.mark.parametrize("error", [RuntimeError("out of luck"), SystemExit("a panic")], ids=["exception", "panic"])
async def test_when_the_engine_fails_every_caller_gets_an_error(
    error: BaseException, made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that run, those that wait, and those that come while and after it happens."""
    engine = LlamaEngine(made("llama"), settings=settings_of(n_seq_max=1), logger=NullLogger())
    await engine.load()
    calls = 0
    compute = Context.decode
    late: list[asyncio.Task[Any]] = []
    loop = asyncio.get_running_loop()
    room = engine._engine
    assert room is not None

    def breaking(self: Context, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            asyncio.run_coroutine_threadsafe(_come_late(), loop).result(PATIENCE)
            raise error
        return compute(self, batch)

    async def _come_late() -> None:
        late.append(asyncio.create_task(engine.generate(GenerationRequest("late", 5))))
        await eventually(lambda: len(room.requests) == 4)

    monkeypatch.setattr(Context, "decode", breaking)
    tasks = [asyncio.create_task(engine.generate(GenerationRequest(f"{_PROMPT}{i}", 50))) for i in range(3)]
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        outcomes += await asyncio.gather(*late, return_exceptions=True)
        assert len(outcomes) == 4
        assert all(isinstance(outcome, EngineFailedError) for outcome in outcomes), outcomes
        assert (await engine.generate(GenerationRequest("x", 5))).tokens  # by an engine that was loaded anew
        assert engine.stats().engine_failures == 1
        await settled(engine)
        await engine.close()


async def test_closing_while_prompts_are_tokenised_and_schemas_compiled_never_crashes(
    made: Callable[[str], Path],
) -> None:
    """Vocabulary work holds the model: a segmentation fault would end this process."""
    for delay in (0.0, 0.001, 0.004, 0.01, 0.03, 0.06):
        engine = LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger())
        await engine.load()
        constraints = [JsonSchema(Batch.model_json_schema()), Choices(("a", "b"))]
        tasks = [
            asyncio.create_task(engine.generate(GenerationRequest("word " * 500, 30, constraint=constraints[i % 2])))
            for i in range(6)
        ]
        tasks += [asyncio.create_task(engine.tokenize("word " * 5000)) for _ in range(4)]  # type: ignore[arg-type]
        await asyncio.sleep(delay)
        await engine.close()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert not isinstance(outcome, BaseException) or isinstance(outcome, EngineClosedError)


async def test_wrong_accounting_is_reported(engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every `check_integrity` in these tests would prove nothing."""
    engine = engine_of("llama", n_seq_max=2, prefix_memory_mb=0)
    await engine.load()
    with monkeypatch.context() as patch:
        patch.setattr(Context, "drop", lambda self, sequence: None)
        await engine.generate(GenerationRequest(_PROMPT, 3))
        with pytest.raises(EngineError, match="accounting is wrong"):
            await engine.check_integrity()
    room = engine._engine
    assert room is not None
    assert room._context is not None
    for slot in range(2):
        room._context.drop(slot)
    await engine.check_integrity()
    assert isinstance(room._scheduler, Scheduler)


async def test_a_path_that_is_not_utf8_loads(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.gguf"))
    shutil.copy(made("llama"), path)
    async with LlamaEngine(path, settings=settings_of(), logger=NullLogger()) as engine:
        assert (await engine.generate(GenerationRequest("hello", 2))).tokens


async def test_tokenisation_agrees_with_the_models_tokenizer(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    text = "the quick brown fox é 😀 <|im_end|>"
    tokens = await engine.tokenize(text)
    assert await engine.detokenize(tokens) == text
    assert await engine.count_tokens(text) == len(tokens)
    special = await engine.tokenize("<|im_end|>", parse_special=True)
    assert len(special) == 1
    assert len(await engine.tokenize("<|im_end|>")) > 1
    assert len(gguf_models.SPECIALS) == 5
