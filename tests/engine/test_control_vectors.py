"""Control vectors are added to what a layer hands on, as strongly and where the settings say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter

from parlant_local.engine import LlamaEngine
from parlant_local.engine.control_vectors import combined
from parlant_local.engine.requests import Generation, GenerationRequest
from parlant_local.errors import ModelLoadError

from .conftest import MakeEngine

PROMPT = "<|im_start|>user\n" + "the quick brown fox jumps over the lazy dog. " * 8 + "<|im_end|>\n"


def make_vector(path: Path, directions: dict[int, np.ndarray], *, kind: str = "controlvector") -> Path:
    writer = GGUFWriter(str(path), kind)
    writer.add_string("controlvector.model_hint", "llama")
    for layer, direction in directions.items():
        writer.add_tensor(f"direction.{layer}", direction.astype(np.float32), raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


async def _logprobs(engine: LlamaEngine) -> list[float]:
    answer: Generation = await engine.generate(GenerationRequest(PROMPT, 1, logprobs=0))
    assert answer.logprobs is not None
    await engine.close()
    return [item.logprob for item in answer.logprobs]


async def test_strengths_add_up_and_layers_limit_them(engine_of: MakeEngine, tmp_path: Path) -> None:
    probe = engine_of("llama")
    await probe.load()
    width, layers = probe.model.n_embd, probe.model.n_layer
    await probe.close()
    dice = np.random.default_rng(4)
    last = layers - 1
    one = make_vector(tmp_path / "one.gguf", {last: dice.normal(0, 1, width)})
    two = make_vector(tmp_path / "two.gguf", {last: dice.normal(0, 1, width)})

    plain = await _logprobs(engine_of("llama"))
    steered = await _logprobs(engine_of("llama", control_vectors={str(one): 2.0}))
    assert steered != pytest.approx(plain, abs=1e-3)
    assert await _logprobs(engine_of("llama", control_vectors={str(one): 0.0})) == pytest.approx(plain, abs=1e-3)

    both = {str(one): 2.0, str(two): -1.0}
    sum_of_both = combined(both, layers, width)[last - 1]
    as_one = make_vector(tmp_path / "both.gguf", {last: sum_of_both})
    assert await _logprobs(engine_of("llama", control_vectors=both)) == pytest.approx(
        await _logprobs(engine_of("llama", control_vectors={str(as_one): 1.0})), abs=1e-3
    )
    outside = engine_of("llama", control_vectors={str(one): 2.0}, control_vector_layers=(last + 1, last + 1))
    assert await _logprobs(outside) == pytest.approx(plain, abs=1e-3)


async def test_states_and_weights_know_them(engine_of: MakeEngine, tmp_path: Path) -> None:
    plain = engine_of("llama")
    await plain.load()
    vector = make_vector(tmp_path / "one.gguf", {1: np.ones(plain.model.n_embd)})
    steered = engine_of("llama", control_vectors={str(vector): 1.0})
    await steered.load()
    assert steered.model.pointer == plain.model.pointer
    keys = {engine._engine._prefix_key() for engine in (plain, steered)}  # type: ignore[union-attr]
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path, width: path.write_bytes(b"no"), "GGUF"),
        (lambda path, width: make_vector(path, {1: np.ones(width + 1)}), "values"),
        (lambda path, width: make_vector(path, {99: np.ones(width)}), "layer 99"),
        (lambda path, width: make_vector(path, {1: np.full(width, np.inf)}), "no numbers"),
        (lambda path, width: make_vector(path, {1: np.ones(width)}, kind="llama"), "not"),
    ],
    ids=["nonsense", "wide", "deep", "infinite", "another kind"],
)
async def test_what_does_not_fit_is_refused(
    engine_of: MakeEngine, tmp_path: Path, make: Callable[[Path, int], object], reason: str
) -> None:
    plain = engine_of("llama")
    await plain.load()
    make(path := tmp_path / "given.gguf", plain.model.n_embd)
    for given in (path, tmp_path / "missing.gguf"):
        with pytest.raises(ModelLoadError, match="control vector") as refused:
            await engine_of("llama", control_vectors={str(given): 1.0}).load()
        assert given.name in str(refused.value)
        if given is path:
            assert reason in str(refused.value)
