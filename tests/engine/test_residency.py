"""One engine per model and settings in a process: joined loads, loads given up, replacement, and who frees it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parlant_local.engine import LlamaEngine, residency
from parlant_local.engine.context import Context
from parlant_local.engine.loading import LoadControl
from parlant_local.engine.requests import GenerationRequest
from parlant_local.errors import EngineClosedError, EngineError, EngineFailedError
from parlant_local.observability import NullLogger
from tests.support.eventually import eventually

from .conftest import MakeEngine, settings_of, settled

_LONG = GenerationRequest([3] * 3000, 500)


@pytest.fixture
def slow_load(monkeypatch: pytest.MonkeyPatch) -> list[LoadControl]:
    """Each tensor of the first load takes 50 ms; the loads there were."""
    loads: list[LoadControl] = []
    on_progress = LoadControl.on_progress

    def slowly(self: LoadControl, progress: float) -> bool:
        if self not in loads:
            loads.append(self)
        if self is loads[0]:
            time.sleep(0.05)
        return on_progress(self, progress)

    monkeypatch.setattr(LoadControl, "on_progress", slowly)
    return loads


def engine_threads(model: str = "llama") -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == f"parlant-local-{model}"]


# -- sharing ----------------------------------------------------------------------------------------------------------


async def test_engines_with_the_same_file_and_settings_are_shared(engine_of: MakeEngine) -> None:
    first, second, other = engine_of("llama"), engine_of("llama", max_queue=7), engine_of("llama", n_ctx=512)
    await asyncio.gather(first.load(), second.load(), other.load())
    assert first._engine is second._engine
    assert first._engine is not other._engine
    assert len(engine_threads()) == 2
    await first.generate(GenerationRequest("hello", 3))
    assert second.stats().finished == 1
    assert other.stats().finished == 0
    await first.close()
    assert not first.loaded
    assert (await second.generate(GenerationRequest("hello", 3))).tokens
    await asyncio.gather(second.close(), other.close())
    await eventually(lambda: not engine_threads())


async def test_closing_one_holder_fails_only_its_requests(engine_of: MakeEngine) -> None:
    leaving, staying = engine_of("slow", n_ctx=4096), engine_of("slow", n_ctx=4096)
    await asyncio.gather(leaving.load(), staying.load())
    lost = asyncio.create_task(leaving.generate(_LONG))
    kept = asyncio.create_task(staying.generate(GenerationRequest([5] * 600, 5)))
    await eventually(lambda: staying.stats().running + staying.stats().waiting == 2)
    await leaving.close()
    with pytest.raises(EngineClosedError):
        await lost
    assert len((await kept).tokens) == 5
    await settled(staying)


async def test_two_hundred_unclosed_holders_share_one_engine_that_unloads_after_lingering(
    made: Callable[[str], Path],
) -> None:
    holders = [LlamaEngine(made("llama"), settings=settings_of(), linger=4, logger=NullLogger()) for _ in range(200)]
    await asyncio.gather(*(holder.load() for holder in holders))
    assert len({id(holder._engine) for holder in holders}) == 1
    threads = threading.active_count()
    holders.clear()
    gc.collect()
    assert len(engine_threads()) == 1
    await eventually(lambda: not engine_threads())
    assert threading.active_count() < threads


async def test_a_holder_within_the_linger_time_finds_the_engine_loaded(made: Callable[[str], Path]) -> None:
    def new() -> LlamaEngine:
        return LlamaEngine(made("llama"), settings=settings_of(), linger=60, logger=NullLogger())

    first = new()
    await first.load()
    loaded = id(first._engine)
    del first
    gc.collect()
    second = new()
    await second.load()
    assert id(second._engine) == loaded
    await second.close()  # closing frees at once, whatever the time
    await eventually(lambda: not engine_threads())


async def test_a_lingering_engine_is_unloaded_for_another_model(made: Callable[[str], Path]) -> None:
    lingering = LlamaEngine(made("llama"), settings=settings_of(), linger=60, logger=NullLogger())
    await lingering.load()
    del lingering
    gc.collect()
    assert len(engine_threads()) == 1
    async with LlamaEngine(made("qwen2"), settings=settings_of(), logger=NullLogger()):
        await eventually(lambda: not engine_threads())


async def test_a_garbage_collected_engine_frees_its_memory(made: Callable[[str], Path]) -> None:
    engine = LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger())
    await engine.generate(GenerationRequest("hello", 2))
    del engine
    gc.collect()
    await eventually(lambda: not engine_threads())


async def test_a_replaced_file_is_another_model(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "llama.gguf"
    path.write_bytes(made("llama").read_bytes())
    first = LlamaEngine(path, settings=settings_of(), logger=NullLogger())
    await first.load()
    (tmp_path / "new").write_bytes(made("qwen2").read_bytes())
    (tmp_path / "new").replace(path)
    second = LlamaEngine(path, settings=settings_of(), logger=NullLogger())
    await second.load()
    assert (first.model.architecture, second.model.architecture) == ("llama", "qwen2")
    await asyncio.gather(first.close(), second.close())


def test_holders_on_several_loops_share_and_close_it(made: Callable[[str], Path]) -> None:
    """First use from several loops at once, and a close from yet another one."""
    holders = [LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger()) for _ in range(6)]
    failures: list[BaseException] = []

    def use(holder: LlamaEngine) -> None:
        try:
            assert asyncio.run(holder.generate(GenerationRequest("hello", 3))).tokens
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=[holder]) for holder in holders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({id(holder._engine) for holder in holders}) == 1

    async def close_all() -> None:
        await asyncio.gather(*(holder.close() for holder in holders for _ in range(2)))

    asyncio.run(close_all())
    asyncio.run(close_all())
    asyncio.run(eventually(lambda: not engine_threads()))


# -- loads ------------------------------------------------------------------------------------------------------------


async def test_a_caller_that_times_out_and_retries_joins_the_load(
    made: Callable[[str], Path], slow_load: list[LoadControl]
) -> None:
    engine = LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger())
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await engine.load()
    await engine.load()
    assert len(slow_load) == 1
    assert len(engine_threads()) == 1
    await engine.close()


async def test_a_load_without_waiters_is_cancelled(
    made: Callable[[str], Path], slow_load: list[LoadControl], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residency, "ABANDONED_SECONDS", 0.05)
    engine = LlamaEngine(made("slow"), settings=settings_of(), logger=NullLogger())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await engine.load()
    await eventually(lambda: not engine_threads("slow"))
    assert not engine.loaded
    assert slow_load[0].progress < 1
    await engine.load()  # and may be loaded all the same
    assert len(slow_load) == 2
    await engine.close()


async def test_closing_the_last_holder_cancels_a_load_at_once(
    made: Callable[[str], Path], slow_load: list[LoadControl]
) -> None:
    engine = LlamaEngine(made("slow"), settings=settings_of(), logger=NullLogger())
    loading = asyncio.create_task(engine.load())
    await eventually(lambda: slow_load)
    await engine.close()
    with pytest.raises(EngineClosedError):
        await loading
    assert slow_load[0].progress < 1


async def test_a_new_load_waits_until_the_previous_engine_is_freed(
    made: Callable[[str], Path], slow_load: list[LoadControl]
) -> None:
    """Two copies at once may be more than there is memory for."""
    first = LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger())
    loading = asyncio.create_task(first.load())
    await eventually(lambda: slow_load)
    closing = asyncio.create_task(first.close())
    await asyncio.sleep(0)
    second = LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger())
    await second.load()
    assert (slow_load[0].cancelled, slow_load[1].progress) == (True, 1.0)
    await asyncio.gather(closing, loading, return_exceptions=True)
    await second.close()


# -- replacement ------------------------------------------------------------------------------------------------------


async def test_an_engine_that_fails_too_often_is_not_reloaded_for_a_while(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger())
    await engine.load()
    now = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(Context, "decode", _refuses)
        for _ in range(3):
            with pytest.raises(EngineFailedError, match="the device is gone"):
                await engine.generate(GenerationRequest("x", 5))
    for call in (engine.load, lambda: engine.generate(GenerationRequest("x", 5)), lambda: engine.embed(["x"])):
        with pytest.raises(EngineFailedError, match=r"3 times within 10 minutes.*the device is gone.* again in \d+ s"):
            await call()
    stats = engine.stats()
    assert stats.engine_failures == 3
    assert 0 < stats.blocked_seconds <= 600
    await eventually(lambda: not engine_threads())
    monkeypatch.setattr(residency.time, "monotonic", lambda: now + 700)
    assert (await engine.generate(GenerationRequest("x", 5))).tokens
    assert engine.stats().blocked_seconds == 0
    await engine.close()


def _refuses(self: Context, batch: Any) -> Any:
    raise EngineError("the device is gone")


# -- forks ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_gets_an_error_and_does_no_harm(made: Callable[[str], Path]) -> None:
    engine = LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger())
    asyncio.run(engine.load())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = []
        for other in (engine, LlamaEngine(made("llama"), settings=settings_of(), logger=NullLogger())):
            try:
                asyncio.run(other.generate(GenerationRequest("x", 2)))
            except EngineError as error:
                said.append(str(error))
        engine.close_now()
        os.write(writing, " | ".join(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read().split(" | ")
    assert os.waitpid(child, 0)[1] == 0
    assert len(said) == 2
    assert all("fork" in line for line in said), said
    assert asyncio.run(engine.generate(GenerationRequest("x", 2))).tokens
    engine.close_now()


_FORKED = """
import asyncio, os, sys
from parlant_local import LlamaCppBackend
from parlant_local.errors import EngineError
from parlant_local.observability import NullLogger
backend = LlamaCppBackend("local/llama/parlant-local-tiny", logger=NullLogger())
async def ask():
    return (await backend.chat("What is the capital of France?", max_tokens=20)).content
first = asyncio.run(ask())
child = os.fork()
if child == 0:
    try:
        asyncio.run(ask())
    except EngineError as error:
        sys.exit(7 if "fork" in str(error) else 8)  # through every exit handler
    sys.exit(9)
assert os.waitpid(child, 0)[1] >> 8 == 7
assert asyncio.run(ask()) == first
print("both right")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_that_exits_leaves_its_parents_engine_alone() -> None:
    """Not the process that renders templates, either."""
    done = subprocess.run([sys.executable, "-c", _FORKED], capture_output=True, text=True, timeout=60)
    assert "both right" in done.stdout, done.stderr
