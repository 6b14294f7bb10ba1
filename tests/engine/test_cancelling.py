"""Whoever stops waiting frees the engine at once: in mid-prefill within one micro-batch."""

from __future__ import annotations

import asyncio

import pytest

from parlant_local.engine.requests import GenerationRequest, JsonSchema
from tests.support.eventually import eventually

from .conftest import GENERATING, MakeEngine, settled
from .schemas import Batch

_PROMPT = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"


async def test_cancelling_in_mid_prefill_frees_the_engine_within_one_micro_batch(engine_of: MakeEngine) -> None:
    """Of the two dozen that the prompt takes, none is begun after the one in which it is cancelled."""
    engine = engine_of("slow", n_seq_max=2, n_ctx=8192, n_ubatch=256, prefix_memory_mb=0)
    await engine.load()
    for i in range(3):
        begun = engine.stats().steps
        task = asyncio.create_task(engine.generate(GenerationRequest([40 + i] * 6000, 5)))
        await eventually(lambda begun=begun, i=i: engine.stats().steps > begun + i)
        assert engine.stats().running == 1
        at_cancelling = engine.stats().steps
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: not engine.stats().running)
        assert engine.stats().steps <= at_cancelling + 1
    await settled(engine)
    assert engine.stats().cancelled == 3


@pytest.mark.parametrize("rounds", range(5))
async def test_a_cancellation_concurrent_with_a_piece_is_not_lost(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """The loop's rounds between a piece's arrival and its reader: asyncio.wait_for lost a cancellation in some of them."""
    engine = engine_of("llama")
    await engine.load()
    loop = asyncio.get_running_loop()
    arrived = 0

    def cancel_after(rounds: int) -> None:
        if rounds:
            loop.call_soon(cancel_after, rounds - 1)
        else:
            reader.cancel()

    class Inbox(asyncio.Queue[object]):
        def put_nowait(self, item: object) -> None:
            nonlocal arrived
            super().put_nowait(item)
            arrived += 1
            if arrived == 5:
                cancel_after(rounds)

    monkeypatch.setattr(asyncio, "Queue", Inbox)

    async def read() -> None:
        async for _ in engine.stream(GenerationRequest(_PROMPT, 1500)):
            pass

    reader = asyncio.create_task(read())
    with pytest.raises(asyncio.CancelledError):
        await reader
    await settled(engine)
    assert arrived < 1500
    assert engine.stats().cancelled == 1


async def test_a_cancelled_prefill_is_retained_as_a_prefix(engine_of: MakeEngine) -> None:
    engine = engine_of("slow", n_seq_max=2, n_ctx=4096, n_ubatch=128, prefix_memory_mb=512)
    prompt = [int(token) for token in range(100, 900)]
    task = asyncio.create_task(engine.generate(GenerationRequest(prompt, 5)))
    await eventually(lambda: engine.stats().steps >= 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answer = await engine.generate(GenerationRequest(prompt, 5))
    assert answer.timings.reused_tokens >= 256
    fresh = engine_of("slow", n_seq_max=2, n_ctx=4096, n_ubatch=128)
    assert (await fresh.generate(GenerationRequest(prompt, 5))).tokens == answer.tokens


@pytest.mark.parametrize("name", ["slow", *GENERATING])
async def test_others_in_an_aborted_step_get_the_answers_they_would_have_got(name: str, engine_of: MakeEngine) -> None:
    """Also where the state cannot be cut back, and an abort leaves it halfway."""
    engine = engine_of(name, n_seq_max=4, n_ctx=4096, n_ubatch=128, prefix_memory_mb=0)
    others = [GenerationRequest(f"{_PROMPT}{'word ' * (30 * i)}", 12) for i in range(3)]
    expected = [(await engine.generate(request)).tokens for request in others]
    room = engine._engine
    assert room is not None
    for _ in range(6):
        tasks = [asyncio.create_task(engine.generate(request)) for request in others]
        long = asyncio.create_task(engine.generate(GenerationRequest([9] * 1500, 5)))
        for _ in range(4):
            await asyncio.sleep(0.01)
            if room._context is not None:
                room._context.abort.set()  # as if somebody's share of this step had been cancelled
        long.cancel()
        answers = await asyncio.gather(*tasks)
        await asyncio.gather(long, return_exceptions=True)
        assert [answer.tokens for answer in answers] == expected
    await settled(engine)


async def test_closing_a_stream_ends_its_work(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    stream = engine.stream(GenerationRequest(_PROMPT, 1500))
    async for piece in stream:
        assert piece.final is None
        break
    await stream.aclose()  # type: ignore[attr-defined]
    await settled(engine)
    assert engine.stats().cancelled == 1
    assert engine.stats().finished == 0


async def test_an_abandoned_stream_is_cancelled_when_it_is_garbage_collected(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")

    async def peek() -> None:
        async for piece in engine.stream(GenerationRequest(_PROMPT, 1500)):
            assert piece.text is not None
            return

    await peek()
    await eventually(lambda: engine.stats().cancelled)
    await settled(engine)
    assert engine.stats().cancelled == 1


async def test_cancelling_before_during_and_after_leaves_nothing_behind(engine_of: MakeEngine) -> None:
    """At every moment of a request's life, from its tokenisation on."""
    engine = engine_of("llama", n_seq_max=2)
    constraint = JsonSchema(Batch.model_json_schema())
    for step in range(40):
        tasks = [
            asyncio.create_task(engine.generate(GenerationRequest(f"{_PROMPT}{i}", 60, constraint=constraint)))
            for i in range(3)
        ]
        await asyncio.sleep(step * 0.0015)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert not isinstance(outcome, BaseException) or isinstance(outcome, asyncio.CancelledError)
    await settled(engine)
    room = engine._engine
    assert room is not None
    assert not room.sinks
    assert not engine._in_flight
