"""One request's options: stops, logprobs, penalties, seeds, thoughts, deadlines, the queue, priorities."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parlant_local.engine.requests import (
    Choices,
    GenerationRequest,
    JsonSchema,
    ReasoningPrelude,
    Sampling,
)
from parlant_local.engine.watching import Watch, watching
from parlant_local.errors import (
    BadRequestError,
    ContextOverflowError,
    DeadlineExceededError,
    QueueFullError,
    StallError,
)
from parlant_local.settings.engine import OutputSettings
from tests.support.eventually import eventually

from .conftest import MakeEngine, settled
from .reference import PlainRun
from .schemas import Choice

_PROMPT = "<|im_start|>user\nthe quick brown fox<|im_end|>\n<|im_start|>assistant\n"


def _random(seed: int, **more: float) -> Sampling:
    return Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=seed, **more)  # type: ignore[arg-type]


async def test_an_answer_ends_before_its_stop_text_in_the_stream_as_in_the_whole(engine_of: MakeEngine) -> None:
    engine = engine_of("tiny")
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    full = await engine.generate(GenerationRequest(prompt, 40))
    assert "Paris" in full.text
    stop = full.text[len(full.text) // 2 : len(full.text) // 2 + 3]
    request = GenerationRequest(prompt, 40, stop=("never said", stop))
    answer = await engine.generate(request)
    pieces = [piece.text async for piece in engine.stream(request)]
    assert answer.text == full.text[: full.text.index(stop)] == "".join(pieces)
    assert (answer.finish_reason, answer.stopped_by) == ("stop", stop)


async def test_a_stream_brings_whole_characters_and_adds_up_to_the_result(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    text = "zwölf Boxkämpfer 日本語 😀 ÿ"
    pieces = []
    async for piece in engine.stream(GenerationRequest(_PROMPT, 80, constraint=Choices((text,)))):
        pieces.append(piece)
    sampled = [p async for p in engine.stream(GenerationRequest(_PROMPT, 60, sampling=_random(3)))]
    for stream in (pieces, sampled):
        final = stream[-1].final
        assert final is not None
        assert "".join(piece.text for piece in stream) == final.text
    assert pieces[-1].final is not None
    assert pieces[-1].final.text == text
    assert not any("\ufffd" in piece.text for piece in pieces)


async def test_logprobs_are_those_of_the_raw_logits(engine_of: MakeEngine, plain: Callable[..., PlainRun]) -> None:
    engine, run = engine_of("llama"), plain("llama")
    request = GenerationRequest(_PROMPT, 6, logprobs=3, sampling=Sampling(repeat_penalty=1.3, logit_bias={5: 4.0}))
    answer = await engine.generate(request)
    assert answer.logprobs is not None
    assert len(answer.logprobs) == len(answer.tokens)
    run.start_over()
    pending = run.tokenize(_PROMPT)
    for token, told in zip(answer.tokens, answer.logprobs, strict=True):
        logits = run.feed(pending).astype(np.float64)
        expected = logits - np.logaddexp.reduce(logits)
        assert told.logprob == pytest.approx(expected[token], abs=0.1)
        assert [value for _, value in told.top] == pytest.approx(np.sort(expected)[::-1][:3].tolist(), abs=0.1)
        pending = [token]


async def test_logprobs_also_cover_forced_and_early_closing_tokens(engine_of: MakeEngine) -> None:
    engine = engine_of("tiny")
    constraint = JsonSchema(Choice.model_json_schema())
    answer = await engine.generate(GenerationRequest(_PROMPT, 60, constraint=constraint, logprobs=0))
    assert answer.logprobs is not None
    assert len(answer.logprobs) == len(answer.tokens)
    assert sum(item.logprob == 0.0 for item in answer.logprobs) >= answer.timings.forced_tokens > 0


async def test_a_bias_against_a_token_bans_it_and_a_penalty_makes_repetition_rarer(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    free = await engine.generate(GenerationRequest(_PROMPT, 20))
    banned = await engine.generate(
        GenerationRequest(_PROMPT, 20, sampling=Sampling(logit_bias={free.tokens[0]: -math.inf}))
    )
    assert free.tokens[0] not in banned.tokens
    penalised = await engine.generate(GenerationRequest(_PROMPT, 60, sampling=Sampling(frequency_penalty=100.0)))
    assert len(set(penalised.tokens)) == len(penalised.tokens)


async def test_a_seed_gives_the_same_answer_alone_and_concurrently(engine_of: MakeEngine) -> None:
    engine = engine_of("mamba", n_seq_max=6)  # whose logits don't depend on the shape of the batch
    request = GenerationRequest(_PROMPT, 24, sampling=_random(11))
    alone = await engine.generate(request)
    crowd = [GenerationRequest(f"{_PROMPT}{i}", 24, sampling=_random(i)) for i in range(5)]
    answers = await asyncio.gather(*(engine.generate(r) for r in [*crowd, request, *crowd]))
    assert answers[5].tokens == alone.tokens
    assert [a.tokens for a in answers[:5]] == [a.tokens for a in answers[6:]]
    other = await engine.generate(GenerationRequest(_PROMPT, 24, sampling=_random(12)))
    assert other.tokens != alone.tokens


async def test_the_engines_seed_applies_to_requests_without_one(engine_of: MakeEngine) -> None:
    sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0)
    answers = [
        (await engine_of("llama", seed=seed).generate(GenerationRequest(_PROMPT, 16, sampling=sampling))).tokens
        for seed in (4, 4, 5)
    ]
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize("opened", [True, False])
async def test_thoughts_end_with_their_budget_and_then_the_schema_binds(opened: bool, engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    prompt = _PROMPT + ("<think>" if opened else "")
    prelude = ReasoningPrelude("<think>", "</think>", 12, opened=opened)
    request = GenerationRequest(
        prompt, 200, reasoning=prelude, constraint=JsonSchema(Choice.model_json_schema()), sampling=_random(2)
    )
    pieces = [piece async for piece in engine.stream(request)]
    answer = pieces[-1].final
    assert answer is not None
    Choice.model_validate_json(answer.text)
    assert 0 < answer.usage.reasoning_tokens <= 12
    assert "<think>" not in answer.reasoning
    assert "</think>" not in answer.reasoning + answer.text
    assert "".join(piece.reasoning for piece in pieces).strip() == answer.reasoning
    model = engine.model
    opening, ending = (model.tokenize(tag, parse_special=True) for tag in ("<think>", "</think>"))
    assert (answer.tokens[0] in opening) == (not opened)
    assert ending[0] in answer.tokens


async def test_thoughts_end_when_they_are_told_to_and_such_an_answer_is_not_repeated(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", outputs=OutputSettings(memory_mb=8))
    prelude = ReasoningPrelude("<think>", "</think>", 180, opened=True)
    request = GenerationRequest(
        _PROMPT + "<think>", 200, reasoning=prelude, constraint=Choices(("yes", "no")), sampling=_random(2)
    )

    class Impatient(Watch):
        def follow(self, *facts: Any) -> None:
            super().follow(*facts)
            assert self.end_thoughts()

    watch = Impatient()
    watching.set(watch)
    assert not watch.end_thoughts()
    answer = await engine.generate(request)
    assert answer.text in ("yes", "no")
    assert not watch.end_thoughts()
    watching.set(None)
    whole = await engine.generate(request)
    assert not whole.timings.from_cache
    assert 0 < answer.usage.reasoning_tokens < whole.usage.reasoning_tokens
    assert (await engine.generate(request)).timings.from_cache


async def test_a_zero_thought_budget_means_no_thoughts(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    prelude = ReasoningPrelude("<think>", "</think>", 0, opened=False)
    answer = await engine.generate(GenerationRequest(_PROMPT, 20, reasoning=prelude, constraint=Choices(("yes", "no"))))
    assert answer.text in ("yes", "no")
    assert (answer.reasoning, answer.usage.reasoning_tokens) == ("", 0)


async def test_an_answer_that_is_fixed_costs_no_computation(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    answer = await engine.generate(GenerationRequest(_PROMPT, 40, constraint=JsonSchema({"const": {"a": [1, 2]}})))
    assert answer.text == '{"a":[1,2]}'
    assert engine.stats().steps == 0
    assert answer.timings.prefilled_tokens == answer.timings.sampled_tokens == 0
    assert answer.timings.queued >= 0


async def test_timings_and_stats_report_the_work_done(engine_of: MakeEngine) -> None:
    engine = engine_of("tiny", n_seq_max=4)
    prompt = _PROMPT * 4
    constraint = JsonSchema(Choice.model_json_schema())
    answers = [await engine.generate(GenerationRequest(prompt, 80, constraint=constraint)) for _ in range(2)]
    for answer in answers:
        times = answer.timings
        assert times.prefilled_tokens + times.reused_tokens == answer.usage.prompt_tokens
        assert times.forced_tokens + times.sampled_tokens == answer.usage.completion_tokens
        assert times.first_token > 0
    assert answers[1].timings.reused_tokens > 0.9 * answers[1].usage.prompt_tokens
    stats = engine.stats()
    assert stats.finished == 2
    assert stats.prompt_tokens == sum(answer.usage.prompt_tokens for answer in answers)
    assert stats.reused_tokens + stats.prefilled_tokens == stats.prompt_tokens
    assert stats.forced_tokens == sum(answer.timings.forced_tokens for answer in answers)
    assert 0 < stats.prefix_hit_rate < 1
    assert stats.retained_prefixes == 1
    assert (stats.running, stats.waiting, stats.cells_used) == (0, 0, 0)


# -- bounds -----------------------------------------------------------------------------------------------------------


async def test_a_prompt_that_can_never_fit_is_refused_with_figures_before_any_work(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", n_ctx=256, n_seq_max=2)
    await engine.load()
    limit = engine.n_ctx
    with pytest.raises(ContextOverflowError) as refused:
        await engine.generate(GenerationRequest([1] * (limit + 5), 8))
    assert (refused.value.needed, refused.value.available) == (limit + 6, limit)
    with pytest.raises(ContextOverflowError) as refused:
        await engine.generate(GenerationRequest([1] * 10, limit))
    assert (refused.value.needed, refused.value.available) == (limit + 10, limit)
    assert engine.stats().steps == 0
    full = await engine.generate(GenerationRequest([1] * (limit - 4), 4))
    assert full.usage.completion_tokens <= 4


async def test_token_ids_that_do_not_exist_are_refused(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    for tokens in ([-1], [10**6]):
        with pytest.raises(BadRequestError):
            await engine.generate(GenerationRequest(tokens, 4))
        with pytest.raises(BadRequestError):
            await engine.detokenize(tokens)
    assert (await engine.generate(GenerationRequest("", 4))).usage.prompt_tokens == 1


async def test_the_queue_has_a_bound(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", max_queue=3, n_seq_max=2)
    await engine.load()
    tasks = [asyncio.create_task(engine.generate(GenerationRequest(f"{_PROMPT}{i}", 50))) for i in range(9)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, QueueFullError)]
    assert len(refused) == 4
    assert refused[0].limit == 3
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 5


async def test_a_deadline_ends_a_request_that_runs_and_one_that_waits(engine_of: MakeEngine) -> None:
    engine = engine_of("slow", n_seq_max=1, n_ctx=4096)
    await engine.load()
    running = asyncio.create_task(engine.generate(GenerationRequest([5] * 1000, 500, deadline=0.3)))
    await eventually(lambda: engine.stats().running)
    waiting = asyncio.create_task(engine.generate(GenerationRequest([6] * 10, 5, deadline=0.05)))
    for task in (running, waiting):
        with pytest.raises(DeadlineExceededError):
            await task
    await settled(engine)
    assert engine.stats().failed == 2


async def test_a_short_interactive_call_is_not_stuck_behind_long_prefills(engine_of: MakeEngine) -> None:
    """It is done before most of the fifteen that came first, in either layout."""
    for unified in (True, False):
        engine = engine_of("slow", n_seq_max=4, n_ctx=512, unified_kv=unified)
        await engine.load()
        done: list[str] = []

        async def run(name: str, request: GenerationRequest, done: list[str] = done, engine: object = engine) -> None:
            await engine.generate(request)  # type: ignore[attr-defined]
            done.append(name)

        long = [asyncio.create_task(run("long", GenerationRequest([i] * 90, 3))) for i in range(15)]
        await eventually(lambda engine=engine: engine.stats().running)
        before = len(done)
        short = asyncio.create_task(run("short", GenerationRequest([77] * 12, 3, priority="interactive")))
        await asyncio.gather(*long, short)
        assert done.index("short") - before <= 4


async def test_no_progress_is_an_error_with_the_limit_in_it(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", stall_seconds=0.2)
    await engine.load()
    import threading

    from parlant_local.engine.context import Context

    gate = threading.Event()
    compute = Context.decode

    def stuck(self: Context, batch: object) -> object:
        gate.wait(5)
        return compute(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Context, "decode", stuck)
    with pytest.raises(StallError, match=r"0\.2 s"):
        await engine.generate(GenerationRequest(_PROMPT, 5))
    gate.set()
    await settled(engine)
