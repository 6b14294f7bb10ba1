"""A thousand requests from sixty-four tasks, as rude as callers get: nothing crashes, nothing leaks, everybody hears."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import Any

import psutil
import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.requests import AnyJson, Choices, Generation, GenerationRequest, JsonSchema, Limits, Sampling
from parlant_local.errors import ParlantLocalError

from .conftest import GENERATING, MakeEngine, settled
from .schemas import Batch

_SHARED = "<|im_start|>system\n" + "customer agent guideline condition action applies rationale response. " * 5
_TYPED = {"ContextOverflowError", "DeadlineExceededError", "SchemaError", "BadRequestError"}


def _request(dice: random.Random, n_ctx: int) -> GenerationRequest:
    own = "message content " * dice.randrange(1, 25)
    prompt: Any = dice.choice([f"{_SHARED}{own}", own, f"{_SHARED}{own}"])
    kind = dice.random()
    if kind < 0.06:
        prompt = [5] * (n_ctx + dice.randrange(1, 500))
    elif kind < 0.08:
        prompt = [-1]
    constraint: Any = dice.choice(
        [
            None,
            None,
            JsonSchema(Batch.model_json_schema()),
            AnyJson(Limits(max_string=20, max_items=3, max_properties=3, max_depth=2)),
            Choices(("yes", "no", "never")),
        ]
    )
    if kind > 0.98:
        constraint = JsonSchema({"not": {}})
    return GenerationRequest(
        prompt,
        dice.randrange(1, 60),
        constraint=constraint,
        sampling=Sampling(temperature=dice.choice([0.0, 1.0]), seed=dice.randrange(100)),
        deadline=dice.choice([None, None, None, 0.0, 0.05, 30.0]),
        priority=dice.choice(["interactive", "normal", "background"]),
        prefix_group=dice.choice([None, "a", "b"]),
        session=dice.choice([None, "anna", "ben", "carl"]),
        stop=dice.choice([(), ("the",)]),
        logprobs=dice.choice([None, 2]),
    )


async def _rude(engine: LlamaEngine, request: GenerationRequest, dice: random.Random) -> str:
    """One call, ended in one of the ways callers end calls."""
    session_options = dice.random()
    try:
        if session_options < 0.15:
            async for _ in (stream := engine.stream(request)):
                if dice.random() < 0.3:
                    await stream.aclose()  # type: ignore[attr-defined]
                    return "left"
            return "result"
        call = asyncio.create_task(engine.generate(request))
        if session_options < 0.45:
            await asyncio.sleep(dice.random() ** 3 * 0.4)
            call.cancel()
        answer = await call
        assert isinstance(answer, Generation)
        assert answer.usage.completion_tokens <= request.max_tokens
        return "result"
    except asyncio.CancelledError:
        return "cancelled"
    except ParlantLocalError as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("name", "unified", "total"),
    [("llama", True, 1000), ("llama", False, 300), ("mamba", True, 300)]
    + [(name, True, 150) for name in GENERATING if name not in ("llama", "mamba")],
)
async def test_a_thousand_misbehaving_requests_leave_the_engine_intact(
    name: str, unified: bool, total: int, engine_of: MakeEngine
) -> None:
    # A unified cache so small that eight requests could never run together at their full length.
    engine = engine_of(
        name,
        n_ctx=512,
        n_seq_max=8,
        unified_kv=unified,
        kv_tokens=1024 if unified else None,
        max_queue=1000,
        prefix_memory_mb=8,
    )
    await engine.load()
    todo = iter(range(total))
    outcomes: dict[str, int] = {}
    memory: list[int] = []
    process = psutil.Process()

    async def task(number: int) -> None:
        dice = random.Random(number)
        for count in todo:
            outcome = await _rude(engine, _request(dice, 512), dice)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if count % 50 == 0:
                memory.append(process.memory_info().rss)

    async with asyncio.timeout(150):
        await asyncio.gather(*(task(number) for number in range(64)))
    await settled(engine)
    gc.collect()
    stats = engine.stats()
    half = memory[len(memory) // 2 :]
    grown = max(half[-1], process.memory_info().rss) - half[0]
    print(f"{outcomes}; {stats.steps} steps; grown {grown / 2**20:.1f} MiB in the second half")
    assert sum(outcomes.values()) == total
    assert outcomes["result"] > total // 4
    assert outcomes.keys() == {"result", "cancelled", "left"} | _TYPED
    assert grown < 8 * 2**20
    assert (stats.running, stats.waiting, stats.cells_used) == (0, 0, 0)
    room = engine._engine
    assert room is not None
    assert not room.sinks
    assert not engine._in_flight
    assert stats.retained_bytes <= 8 * 2**20


@pytest.mark.evidence
@pytest.mark.timeout(1200)
async def test_ten_thousand_misbehaving_requests_leave_the_engine_intact(engine_of: MakeEngine) -> None:
    engine = engine_of(
        "llama", n_ctx=512, n_seq_max=8, unified_kv=True, kv_tokens=1024, max_queue=1000, prefix_memory_mb=8
    )
    todo = iter(range(10_000))
    counts: dict[str, int] = {}

    async def task(number: int) -> None:
        dice = random.Random(1000 + number)
        for _ in todo:
            outcome = await _rude(engine, _request(dice, 512), dice)
            counts[outcome] = counts.get(outcome, 0) + 1

    await asyncio.gather(*(task(number) for number in range(64)))
    await settled(engine)
    print(counts)
    assert sum(counts.values()) == 10_000


async def test_a_full_unified_cache_makes_requests_wait_and_fails_none(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", n_ctx=512, n_seq_max=8, unified_kv=True, kv_tokens=512, prefix_memory_mb=0)
    requests = [GenerationRequest([20 + i] * 150, 150) for i in range(12)]
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, engine.stats().cells_used)
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(*(engine.generate(request) for request in requests))
    watching.cancel()
    assert len(answers) == 12
    assert 0 < most <= engine.stats().cells


async def test_an_unexpectedly_full_cache_preempts_the_youngest_request(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp may find no room where the ledger saw some; the answers are the same."""
    from parlant_local.engine.context import Batch as Tokens
    from parlant_local.engine.context import Context

    engine = engine_of("llama", n_seq_max=4, prefix_memory_mb=0, unified_kv=True)
    requests = [GenerationRequest([7] * 40 + [20 + i] * 10, 30) for i in range(4)]
    expected = [(await engine.generate(request)).tokens for request in requests]
    compute, calls = Context.decode, 0

    def refusing(self: Context, batch: Tokens) -> Any:
        nonlocal calls
        calls += 1
        return "no_room" if calls in (6, 7, 15) else compute(self, batch)

    monkeypatch.setattr(Context, "decode", refusing)
    answers = await asyncio.gather(*(engine.generate(request) for request in requests))
    assert [answer.tokens for answer in answers] == expected
    await settled(engine)
