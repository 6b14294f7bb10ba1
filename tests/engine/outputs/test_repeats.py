"""A call that is repeated exactly is answered from what it gave before; every other one is computed."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.outputs import disk, request_key
from parlant_local.engine.requests import Generation, GenerationRequest, JsonSchema, ReasoningPrelude, Sampling
from parlant_local.observability import NullLogger
from parlant_local.settings.engine import OutputSettings
from tests.engine.conftest import MakeEngine

PROMPT = "<|im_start|>user\nthe quick brown fox<|im_end|>\n"
ASKED = GenerationRequest(PROMPT, 6, logprobs=1)
SCHEMA = JsonSchema({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]})
KEPT = OutputSettings(memory_mb=8)


@pytest.fixture
def engine(engine_of: MakeEngine) -> LlamaEngine:
    return engine_of("llama", outputs=KEPT)


def _counts(engine: LlamaEngine) -> tuple[int, int]:
    stats = engine.stats()
    return stats.output_hits, stats.output_misses


async def test_a_repeat_is_the_same_answer_and_takes_no_step(engine: LlamaEngine) -> None:
    first = await engine.generate(ASKED)
    sampled = engine.stats().sampled_tokens
    again = await engine.generate(replace(ASKED, session="another", priority="interactive", prefix_group="x"))

    assert not first.timings.from_cache
    assert again.timings.from_cache
    assert (engine.stats().finished, engine.stats().sampled_tokens) == (1, sampled)
    assert again.usage == replace(first.usage, cached_tokens=first.usage.prompt_tokens)
    assert replace(again, usage=first.usage, timings=first.timings) == first
    assert _counts(engine) == (1, 1)


async def test_a_stream_gives_the_same_in_one_piece(engine: LlamaEngine) -> None:
    pieces = [piece async for piece in engine.stream(ASKED)]
    (again,) = [piece async for piece in engine.stream(ASKED)]

    assert again.text == "".join(piece.text for piece in pieces)
    assert again.tokens == tuple(token for piece in pieces for token in piece.tokens)
    assert again.logprobs == tuple(item for piece in pieces for item in piece.logprobs)
    assert again.final is not None
    assert again.final.text == again.text


async def test_bound_answers_and_seeded_ones_are_kept(engine: LlamaEngine) -> None:
    for asked in (
        replace(ASKED, constraint=SCHEMA, max_tokens=16),
        replace(ASKED, sampling=Sampling(1.0, seed=3)),
    ):
        first = await engine.generate(asked)
        again = await engine.generate(asked)
        assert (again.text, again.timings.from_cache) == (first.text, True)


async def test_what_chance_decides_is_computed_each_time(engine: LlamaEngine) -> None:
    asked = replace(ASKED, sampling=Sampling(1.0))
    for _ in range(2):
        assert not (await engine.generate(asked)).timings.from_cache
    assert _counts(engine) == (0, 0)


async def test_the_seed_of_an_engine_makes_its_answers_repeatable(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", outputs=KEPT, seed=7)
    asked = replace(ASKED, sampling=Sampling(1.0))
    first = await engine.generate(asked)
    assert (await engine.generate(asked)).timings.from_cache
    assert (await engine.generate(replace(asked, sampling=Sampling(1.0, seed=7)))).text == first.text
    assert _counts(engine) == (2, 1)


CHANGED: dict[str, dict[str, Any]] = {
    "prompt": {"prompt": PROMPT + "."},
    "tokens": {"max_tokens": 7},
    "temperature": {"sampling": Sampling(0.5, seed=1)},
    "penalty": {"sampling": Sampling(repeat_penalty=1.1)},
    "bias": {"sampling": Sampling(logit_bias={4: 1.0})},
    "boolean": {"sampling": Sampling(boolean_bias=0.5)},
    "schema": {"constraint": SCHEMA},
    "order of keys": {"constraint": JsonSchema({"properties": {}, "type": "object"})},
    "spaces": {"constraint": replace(SCHEMA, spaced=True)},
    "thoughts": {"reasoning": ReasoningPrelude("<think>", "</think>", 8, opened=False)},
    "stop": {"stop": ("x",)},
    "bos": {"add_bos": True},
    "control": {"control_text": True},
    "alternatives": {"logprobs": 2},
}


def test_whatever_changes_an_answer_changes_its_key() -> None:
    keys = {name: request_key(replace(ASKED, **change), None) for name, change in CHANGED.items()}
    keys["as it is"] = request_key(ASKED, None)
    keys["other order"] = request_key(replace(ASKED, constraint=JsonSchema({"type": "object", "properties": {}})), None)
    assert None not in keys.values()
    assert len(set(keys.values())) == len(CHANGED) + 2


def test_every_field_of_a_request_is_in_the_key_or_known_to_change_nothing() -> None:
    ignored = {"prefix_group", "session", "priority", "deadline"}
    changed = {name for change in CHANGED.values() for name in change}
    assert set(GenerationRequest.__dataclass_fields__) == ignored | changed


def test_a_text_and_its_ids_are_different_questions_and_who_asks_is_none() -> None:
    assert request_key(replace(ASKED, prompt=[1, 2]), None) != request_key(replace(ASKED, prompt=[1, 3]), None)
    assert request_key(replace(ASKED, session="s", deadline=4.0), None) == request_key(ASKED, None)


async def test_texts_are_embedded_once(engine: LlamaEngine) -> None:
    texts = ["fox", "dog", "the lazy dog"]
    first = await engine.embed(texts[:2])
    more = await engine.embed([texts[1], texts[2], texts[0]])
    assert np.array_equal(more.vectors[0], first.vectors[1])
    assert np.array_equal(more.vectors[2], first.vectors[0])
    assert _counts(engine) == (2, 3)
    assert (await engine.embed([])).vectors.shape[0] == 0
    plain = await engine.rerank("fox", texts)
    assert len(plain.scores) == 3


async def test_the_memory_is_bounded_and_the_longest_unused_goes_first(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", outputs=OutputSettings(memory_mb=1))
    await engine.load()
    outputs = engine._engine.outputs  # type: ignore[union-attr]
    assert outputs is not None
    block = bytes(300_000)
    for name in "abc":
        outputs.put(name, block)
    assert outputs.get("a") is not None
    outputs.put("d", block)
    assert outputs.get("b") is None
    assert outputs.get("a") is not None
    outputs.put("e", bytes(2 << 20))
    assert outputs.get("e") is None
    assert outputs.size <= 1 << 20
    assert engine.stats().outputs_bytes == outputs.size


DISK = OutputSettings(disk=True, disk_mb=1)


async def test_on_disk_they_outlive_the_engine_and_only_the_owner_reads_them(
    engine_of: MakeEngine, tmp_path: Path
) -> None:
    engine = engine_of("llama", outputs=DISK, output_dir=tmp_path / "outputs")
    first = await engine.generate(ASKED)
    vectors = (await engine.embed(["fox"])).vectors
    await engine.close()

    files = sorted((tmp_path / "outputs").glob("*/*.output"))
    assert len(files) == 2
    if os.name == "posix":
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert not any(b"quick" in path.read_bytes() for path in files)

    engine = engine_of("llama", outputs=DISK, output_dir=tmp_path / "outputs")
    again = await engine.generate(ASKED)
    assert (again.text, again.timings.from_cache) == (first.text, True)
    assert np.array_equal((await engine.embed(["fox"])).vectors, vectors)
    await engine.close()

    other = engine_of("qwen2", outputs=DISK, output_dir=tmp_path / "outputs")
    assert not (await other.generate(ASKED)).timings.from_cache


@pytest.mark.parametrize("damage", [b"", b"\0" * 40, None], ids=["empty", "zeros", "cut"])
async def test_a_damaged_file_is_computed_again(engine_of: MakeEngine, tmp_path: Path, damage: bytes | None) -> None:
    engine = engine_of("llama", outputs=DISK, output_dir=tmp_path)
    first = await engine.generate(ASKED)
    await engine.close()
    (file,) = tmp_path.glob("*/*.output")
    data = file.read_bytes()
    file.write_bytes(data[:-9] if damage is None else damage)

    engine = engine_of("llama", outputs=DISK, output_dir=tmp_path)
    again = await engine.generate(ASKED)
    assert (again.text, again.timings.from_cache) == (first.text, False)
    await engine.close()
    assert file.read_bytes()[32:].startswith(b'{"text"')


def test_the_disk_is_bounded_over_all_engines_and_counted_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    real = disk.evict

    def counted(*given: Any, **named: Any) -> int:
        counts.append(1)
        return real(*given, **named)

    monkeypatch.setattr(disk, "evict", counted)
    budget, body = 100_000, bytes(900)
    for engine in ("one", "two"):
        kept = disk.OutputDisk(tmp_path, engine, budget, NullLogger())
        for number in range(200):
            kept.write(f"{number:064x}", body)
        kept.close()
        files = list(tmp_path.glob("*/*.output"))
        assert 60_000 < sum(path.stat().st_size for path in files) <= budget
    assert (tmp_path / kept._folder.name / f"{199:064x}.output").exists()
    assert len(counts) < 60


async def test_without_the_setting_nothing_is_kept(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("llama", output_dir=tmp_path)
    answers: list[Generation] = [await engine.generate(ASKED) for _ in range(2)]
    assert not any(answer.timings.from_cache for answer in answers)
    assert list(tmp_path.iterdir()) == []
