"""What the engine says with sharing, batching, jump-forward and restored prefixes is what the plainest run says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.constraint.closing import close_schema
from parlant_local.engine.requests import Generation, GenerationRequest, JsonSchema, Limits

from .conftest import GENERATING, MakeEngine
from .reference import PlainRun
from .schemas import Batch, every_schema

_SYSTEM = "<|im_start|>system\nthe quick brown fox jumps over the lazy dog. " + (
    "customer agent guideline condition action applies rationale response. " * 8
)


def _crowd(count: int) -> list[str]:
    return [
        f"{_SYSTEM}number {i}: {'message content ' * (i % 7)}<|im_end|>\n<|im_start|>assistant\n" for i in range(count)
    ]


def _noise(plain: PlainRun, prompt: str) -> float:
    """How far logits move when nothing but the shape of the batch changes."""
    tokens = plain.tokenize(prompt)
    plain.start_over()
    whole = plain.feed(tokens)
    most = 0.0
    for step in (1, 16, 100):
        plain.start_over()
        for begin in range(0, len(tokens), step):
            part = plain.feed(tokens[begin : begin + step])
        most = max(most, float(np.abs(whole - part).max()))
    return most


def _differences(
    plain: PlainRun,
    prompts: Sequence[str],
    answers: Sequence[Generation],
    *,
    max_tokens: int,
    schema: dict[str, Any] | None = None,
) -> list[tuple[int, float]]:
    """Where answers leave the plain run's, and how near a tie the plain run was there."""
    found = []
    for prompt, answer in zip(prompts, answers, strict=True):
        expected = plain.generate(prompt, max_tokens, schema=schema)
        if list(answer.tokens) != expected.tokens and not _repeats_a_key(expected.text):
            same = 0
            while same < min(len(answer.tokens), len(expected.tokens)) and answer.tokens[same] == expected.tokens[same]:
                same += 1
            found.append((same, expected.gaps[same]))
    return found


def _repeats_a_key(text: str) -> bool:
    """The plain run may say a key twice, which the engine does not."""
    repeated = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        repeated.extend(name for name in names if names.count(name) > 1)

    try:
        json.loads(text, object_pairs_hook=note)
    except ValueError:
        return len(set(keys := re.findall(r'"((?:[^"\\]|\\.)*)":', text))) < len(keys)  # cut by its token limit
    return bool(repeated)


async def _answers(
    engine: LlamaEngine, prompts: Sequence[str], *, max_tokens: int, schema: dict[str, Any] | None = None
) -> list[Generation]:
    constraint = JsonSchema(schema) if schema is not None else None
    requests = [
        GenerationRequest(prompt, max_tokens, constraint=constraint, prefix_group="crowd", session=f"s{index}")
        for index, prompt in enumerate(prompts)
    ]
    return list(await asyncio.gather(*(engine.generate(request) for request in requests)))


@pytest.mark.parametrize("unified", [True, False], ids=["unified", "split"])
@pytest.mark.parametrize("name", GENERATING)
async def test_concurrent_requests_get_the_answers_that_each_gets_alone(
    name: str, unified: bool, engine_of: MakeEngine, plain: Callable[..., PlainRun], tmp_path: Path
) -> None:
    """Free and schema-bound, cold, with prefixes from memory, and with prefixes from disk after a restart."""
    prompts, schema = _crowd(6), Batch.model_json_schema()
    closed = close_schema(schema, Limits())
    run = plain(name)
    noise = _noise(run, prompts[-1])
    engine = engine_of(name, unified_kv=unified, n_seq_max=4, prefix_dir=tmp_path)
    cold = await _answers(engine, prompts, max_tokens=24)
    warm = await _answers(engine, prompts, max_tokens=24)
    bound = await _answers(engine, prompts, max_tokens=200, schema=schema)
    await engine.close()
    restarted = engine_of(name, unified_kv=unified, n_seq_max=4, prefix_dir=tmp_path)
    from_disk = await _answers(restarted, prompts, max_tokens=24)

    assert sum(answer.timings.reused_tokens for answer in cold) > 0.4 * sum(a.usage.prompt_tokens for a in cold)
    assert from_disk[0].timings.reused_tokens > 0.5 * from_disk[0].usage.prompt_tokens
    for answers in (cold, warm, from_disk):
        assert all(gap <= 2 * noise for _, gap in _differences(run, prompts, answers, max_tokens=24))
    assert all(gap <= 2 * noise for _, gap in _differences(run, prompts, bound, max_tokens=200, schema=closed))
    for answer in bound:
        Batch.model_validate_json(answer.text)


async def test_answers_of_the_shipped_model_are_those_of_a_plain_run(
    engine_of: MakeEngine, plain: Callable[..., PlainRun], promised: dict[str, Any]
) -> None:
    """Every difference is a tie within floating-point noise; the share that is equal stands in the output."""
    asked = promised["questions"][::25]
    prompts = [f"<|im_start|>user\n{item['question']}<|im_end|>\n<|im_start|>assistant\n" for item in asked]
    run, engine = plain("tiny"), engine_of("tiny", n_seq_max=4)
    noise = _noise(run, _SYSTEM)
    answers = await _answers(engine, prompts, max_tokens=32)
    differences = _differences(run, prompts, answers, max_tokens=32)
    total = len(prompts)
    for schema in every_schema().values():
        bound = await _answers(engine, prompts[:3], max_tokens=160, schema=schema)
        closed = close_schema(schema, Limits())
        kept = [(p, a) for p, a in zip(prompts, bound, strict=False) if not a.closed_early]
        differences += _differences(run, [p for p, _ in kept], [a for _, a in kept], max_tokens=160, schema=closed)
        total += len(kept)
    print(f"{total - len(differences)} of {total} equal; differences (position, gap): {differences}; noise {noise:.3f}")
    assert all(gap <= 2 * noise for _, gap in differences)
    assert len(differences) <= 0.2 * total


@pytest.mark.evidence
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("unified", [True, False], ids=["unified", "split"])
async def test_hundreds_of_prompts_and_schemas_agree_with_a_plain_run(
    unified: bool, engine_of: MakeEngine, plain: Callable[..., PlainRun], promised: dict[str, Any], tmp_path: Path
) -> None:
    """The long version: every documented question, and every schema over thirty of them, in both layouts."""
    prompts = [f"<|im_start|>user\n{i['question']}<|im_end|>\n<|im_start|>assistant\n" for i in promised["questions"]]
    run = plain("tiny")
    engine = engine_of(
        "tiny", n_seq_max=8, unified_kv=unified, prefix_dir=tmp_path, prefix_min_tokens=8, max_queue=1000
    )
    noise = _noise(run, _SYSTEM)
    differences = _differences(run, prompts, await _answers(engine, prompts, max_tokens=32), max_tokens=32)
    total = len(prompts)
    for schema in every_schema().values():
        closed = close_schema(schema, Limits())
        bound = await _answers(engine, prompts[:30], max_tokens=200, schema=schema)
        kept = [(p, a) for p, a in zip(prompts, bound, strict=False) if not a.closed_early]
        differences += _differences(run, [p for p, _ in kept], [a for _, a in kept], max_tokens=200, schema=closed)
        total += len(kept)
    print(
        f"{total - len(differences)} of {total} equal; gaps {sorted(gap for _, gap in differences)}; noise {noise:.3f}"
    )
    assert all(gap <= 2 * noise for _, gap in differences)


async def test_forced_text_is_tokenised_as_the_models_own_tokenizer_would(
    engine_of: MakeEngine, plain: Callable[..., PlainRun], promised: dict[str, Any]
) -> None:
    """So that what is sampled next stands on the tokens the model was trained on.

    Even without jump-forward a model splits some text unusually, where what it says may go on in several ways (a string's end,
    a bracket that another item could follow). Jump-forward must not add to that.
    """
    run, engine, schema = plain("tiny"), engine_of("tiny"), Batch.model_json_schema()
    closed = close_schema(schema, Limits())
    questions = [item["question"] for item in promised["questions"][:10]]
    prompts = [f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n" for question in questions]
    answers = await _answers(engine, prompts, max_tokens=200, schema=schema)
    usual = {"with": 0, "without": 0}
    tokens = {"with": 0, "without": 0}
    for prompt, answer in zip(prompts, answers, strict=True):
        unhurried = run.generate(prompt, 200, schema=closed, jump=False)
        for kind, text, said in (("with", answer.text, answer.tokens), ("without", unhurried.text, unhurried.tokens)):
            whole = run.tokenize(prompt + text)
            usual[kind] += _common(whole, [*run.tokenize(prompt), *said])
            tokens[kind] += len(whole)
    shares = {kind: usual[kind] / tokens[kind] for kind in usual}
    forced = sum(answer.timings.forced_tokens for answer in answers)
    print(f"Tokens as the tokenizer splits them, with and without jump-forward: {shares}; {forced} were forced")
    assert forced > 100
    assert shares["with"] >= 0.9
    assert shares["with"] >= shares["without"] - 0.01


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)
