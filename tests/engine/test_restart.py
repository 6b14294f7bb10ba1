"""A restart in the middle of a day: the first turn after it starts as warm as the last new conversation before it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.requests import Generation, GenerationRequest

from .conftest import MakeEngine

_WORDS = (
    "customer agent guideline condition action applies rationale response message content the quick brown fox".split()
)
_GROUPS = 6
_CALLS = 3  # of each group in a turn: a batch of guidelines each


def _text(seed: int, count: int) -> str:
    dice = random.Random(seed)
    return " ".join(dice.choice(_WORDS) for _ in range(count))


def _turn(session: str, number: int) -> list[GenerationRequest]:
    """As a host asks: per schema its instructions, which are the same for all, then the conversation, then what is asked."""
    conversation = _text(_seed(session), 30 + 20 * number)
    return [
        GenerationRequest(
            f"<|im_start|>system\n{_text(group, 120)}\n{conversation}\n{_text(100 * group + call, 12)}<|im_end|>\n",
            4,
            prefix_group=f"schema {group}",
            session=session,
        )
        for group in range(_GROUPS)
        for call in range(_CALLS)
    ]


def _seed(session: str) -> int:
    return sum(session.encode()) * 1009


async def _run(engine: LlamaEngine, session: str, number: int = 0) -> list[Generation]:
    return list(await asyncio.gather(*(engine.generate(request) for request in _turn(session, number))))


async def _run_in_turn(engine: LlamaEngine, session: str) -> list[Generation]:
    """One after the other: what is shared does not depend on which sibling is still live when a call is admitted."""
    return [await engine.generate(request) for request in _turn(session, 0)]


def _share(answers: list[Generation]) -> float:
    """Of the prompt tokens, those that were not computed."""
    return sum(a.timings.reused_tokens for a in answers) / sum(a.usage.prompt_tokens for a in answers)


@pytest.mark.parametrize("name", ["llama", "deepseek2", "mamba", "gemma3", "lfm2"])
async def test_the_first_turn_after_a_restart_is_as_warm_as_a_new_conversation_before_it(
    name: str, engine_of: MakeEngine, tmp_path: Path
) -> None:
    engine = engine_of(name, prefix_dir=tmp_path, n_seq_max=4)
    cold = _share(await _run(engine, "anna"))
    for session, number in (("ben", 0), ("anna", 1), ("carl", 0), ("ben", 1)):
        await _run(engine, session, number)
    before = await _run_in_turn(engine, "dora")
    await engine.close()

    engine = engine_of(name, prefix_dir=tmp_path, n_seq_max=4)
    await engine.load()
    on_disk = engine.stats().prefixes_on_disk
    after = await _run_in_turn(engine, "erik")
    static = sum([len(await engine.tokenize(_text(group, 120))) for group in range(_GROUPS)]) * _CALLS
    static_share = static / sum(answer.usage.prompt_tokens for answer in after)
    print(
        f"{name}: reused {cold:.0%} cold, {_share(before):.0%} in a new conversation, {_share(after):.0%} after the restart; "
        f"{static_share:.0%} is static; {on_disk} prefixes on disk"
    )
    assert on_disk >= _GROUPS
    assert _share(after) >= _share(before) - 0.02
    assert _share(after) >= 0.9 * static_share
    assert all(answer.timings.reused_tokens for answer in after)  # nobody starts from nothing

    again = await _run(engine, "erik")  # and what came from disk is right: the same answers from memory and live cells
    fresh = engine_of(name, n_seq_max=4, prefix_memory_mb=0)
    expected = await _run(fresh, "erik")
    equal = sum(a.tokens == b.tokens == c.tokens for a, b, c in zip(after, again, expected, strict=True))
    assert equal >= 0.8 * len(expected)  # the rest are ties within floating-point noise, which test_equality explains


async def test_agents_that_share_a_schema_each_find_their_own_prefix(engine_of: MakeEngine, tmp_path: Path) -> None:
    def ask(agent: int, session: str) -> GenerationRequest:
        prompt = f"<|im_start|>system\n{_text(900 + agent, 120)}\n{_text(_seed(session), 30)}<|im_end|>\n"
        return GenerationRequest(prompt, 2, prefix_group="one schema", session=f"{session} with {agent}")

    engine = engine_of("llama", prefix_dir=tmp_path)
    for agent in range(3):
        for session in ("anna", "ben"):
            await engine.generate(ask(agent, session))
    await engine.close()
    engine = engine_of("llama", prefix_dir=tmp_path)
    for agent in range(3):
        answer = await engine.generate(ask(agent, "carl"))
        own = len(await engine.tokenize(_text(900 + agent, 120)))
        assert answer.timings.reused_tokens >= own
