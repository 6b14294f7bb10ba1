"""Engines of one file share its weights, whatever adapters each has on them; nothing else is shared."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parlant_local.engine import LlamaEngine, LoadedModel
from parlant_local.engine.layout import Layout
from parlant_local.engine.loading import LoadControl
from parlant_local.engine.requests import Generation, GenerationRequest
from parlant_local.engine.weights import present, share
from parlant_local.errors import EngineClosedError
from parlant_local.settings import EngineSettings
from parlant_local.settings.engine import OutputSettings
from tests.support.adapters import make_adapter, merged

from .conftest import MakeEngine

PROMPT = "<|im_start|>user\n" + "the quick brown fox jumps over the lazy dog. " * 12 + "<|im_end|>\n"
ASKED = GenerationRequest(PROMPT, 12, logprobs=0, prefix_group="g")


def _logprobs(answer: Generation) -> list[float]:
    assert answer.logprobs is not None
    return [item.logprob for item in answer.logprobs]


async def _say(engine: LlamaEngine) -> Generation:
    return await engine.generate(ASKED)


async def test_a_base_and_two_adapters_answer_at_once_from_the_same_weights_and_never_mix(
    engine_of: MakeEngine, made: Callable[[str], Path], tmp_path: Path
) -> None:
    base, one, two = made("llama"), tmp_path / "one.gguf", tmp_path / "two.gguf"
    adds = [make_adapter(one, base, 31), make_adapter(two, base, 32)]
    ways: list[dict[str, float]] = [{}, {str(one): 1.0}, {str(two): 1.0}, {str(one): 0.5}]
    expected = []
    for number, added in enumerate([(), ((adds[0], 1.0),), ((adds[1], 1.0),), ((adds[0], 0.5),)]):
        built_in = engine_of(merged(tmp_path / f"merged{number}.gguf", base, *added))
        expected.append(await _say(built_in))
        await built_in.close()

    kept = OutputSettings(memory_mb=8)
    engines = [engine_of("llama", lora=way, prefix_dir=tmp_path / "kept", outputs=kept) for way in ways]
    for _ in range(2):  # the second time from retained prefixes, each from its own
        found = await asyncio.gather(*map(_say, engines))
        for answer, right in zip(found, expected, strict=True):
            assert answer.tokens == right.tokens
            assert _logprobs(answer) == pytest.approx(_logprobs(right), abs=0.02)
    assert len({tuple(answer.tokens) for answer in expected}) > 1
    assert len({engine.model.pointer for engine in engines}) == 1

    alone = engines[0].sizing.estimate.weights
    for engine in engines[1:]:
        await engine.close()
    assert engines[0].model.users == 1
    assert engines[0].memory_bytes >= alone
    assert (await _say(engines[0])).tokens == expected[0].tokens
    await engines[0].close()
    assert not present(base)


async def test_each_counts_its_part_of_the_memory(
    engine_of: MakeEngine, made: Callable[[str], Path], tmp_path: Path
) -> None:
    make_adapter(adapter := tmp_path / "one.gguf", made("llama"), 31)
    first = engine_of("llama")
    await first.load()
    before = first.memory_bytes
    second = engine_of("llama", lora={str(adapter): 1.0})
    await second.load()
    weights = first.sizing.estimate.weights
    assert first.memory_bytes + second.memory_bytes == pytest.approx(2 * before - weights, abs=2)


async def test_who_leaves_takes_nothing_from_the_others(
    engine_of: MakeEngine, made: Callable[[str], Path], tmp_path: Path
) -> None:
    make_adapter(adapter := tmp_path / "one.gguf", made("llama"), 31)
    base, adapted = engine_of("llama"), engine_of("llama", lora={str(adapter): 1.0})
    right = await _say(base)
    running = asyncio.ensure_future(_say(base))
    await _say(adapted)
    await adapted.close()
    assert (await running).tokens == right.tokens


def test_one_loads_while_the_others_wait_and_the_next_takes_over_where_it_fails(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"x")
    loads: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    class Library:
        def __init__(self) -> None:
            self.freed: list[Any] = []

        def llama_model_free(self, pointer: Any) -> None:
            self.freed.append(pointer)

    def failing() -> Any:
        begun.set()
        assert go_on.wait(30)
        raise EngineClosedError("It was cancelled.")

    def load() -> Any:
        loads.append(1)
        return object()

    library = Library()
    errors: list[BaseException] = []

    def first() -> None:
        try:
            share(file, "how", library, LoadControl("first"), failing)
        except EngineClosedError as error:
            errors.append(error)

    found: list[Any] = []
    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert begun.wait(30)
    for name in ("second", "third"):
        threads.append(
            threading.Thread(
                target=lambda name=name: found.append(share(file, "how", library, LoadControl(name), load))
            )
        )
        threads[-1].start()
    cancelled = LoadControl("impatient")
    cancelled.cancel()
    with pytest.raises(EngineClosedError, match="impatient"):
        share(file, "how", library, cancelled, load)
    go_on.set()
    for thread in threads:
        thread.join(30)

    assert len(errors) == len(loads) == 1
    assert found[0] is found[1]
    other = share(file, "another way", library, LoadControl("other"), load)
    assert other is not found[0]
    for weights in (*found, other):
        weights.release()
    assert len(library.freed) == 2
    assert not present(file)


def test_with_layers_on_a_gpu_each_has_weights_of_its_own(made: Callable[[str], Path]) -> None:
    """What is on a card belongs to who put it there; nobody has tried to share it."""
    settings = EngineSettings(vetting="never")
    splits: tuple[tuple[int, ...], ...] = ((), (1,))
    for split, shared in zip(splits, (True, False), strict=True):
        layout = Layout(128, 128, 1, True, 64, 64, 1, 1, gpu_split=split)
        one, other = (LoadedModel(made("llama"), settings, layout=layout) for _ in range(2))
        try:
            assert (one.pointer == other.pointer) is shared
            assert one.users == (2 if shared else 1)
        finally:
            one.release()
            other.release()
