"""Every option of the engine does what it says, seen in llama.cpp itself where it can be."""

from __future__ import annotations

import asyncio
import ctypes
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.native import library, set_verbose
from parlant_local.engine.requests import Generation, GenerationRequest
from parlant_local.errors import ModelLoadError
from parlant_local.settings.engine import KvType
from tests.support import gguf_models
from tests.support.adapters import make_adapter, merged

from .conftest import MakeEngine

_PROMPT = "<|im_start|>user\n" + "the quick brown fox jumps over the lazy dog. " * 12 + "<|im_end|>\n"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads of 32: the block that quantized caches are made of."""
    return gguf_models.llama(tmp_path_factory.mktemp("wide") / "wide.gguf", seed=21, head=32, tied=False)


async def _say(engine: LlamaEngine, prompt: str = _PROMPT, *, tokens: int = 12) -> Generation:
    return await engine.generate(GenerationRequest(prompt, tokens, logprobs=0))


def _logprobs(answer: Generation) -> list[float]:
    assert answer.logprobs is not None
    return [item.logprob for item in answer.logprobs]


def _native(engine: LlamaEngine) -> Any:
    room = engine._engine
    assert room is not None
    assert room._context is not None
    return room._context._pointer


async def test_sequences_batches_and_threads_reach_llama_cpp(engine_of: MakeEngine) -> None:
    lib = library()
    plain = await _say(engine_of("llama"))
    engine = engine_of("llama", n_seq_max=3, n_batch=96, n_ubatch=32, n_threads=1, n_threads_batch=2, n_ctx=512)
    await engine.load()
    context = _native(engine)

    def told(name: str) -> int:
        return int(lib.function(f"llama_{name}", ctypes.c_int32, [ctypes.c_void_p])(context))

    assert told("n_seq_max") == 3
    assert (told("n_batch"), told("n_ubatch")) == (96, 32)
    assert (told("n_threads"), told("n_threads_batch")) == (1, 2)
    assert engine.n_ctx == 512
    answer = await _say(engine)
    assert answer.tokens == plain.tokens
    assert _logprobs(answer) == pytest.approx(_logprobs(plain), abs=0.02)
    steps = engine.stats().steps
    assert steps >= answer.usage.prompt_tokens // 32  # a step computes a micro-batch of prefill


async def test_no_more_sequences_run_than_were_allowed(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", n_seq_max=2)
    await engine.load()
    work = [asyncio.create_task(_say(engine, f"{i} fox", tokens=40)) for i in range(6)]
    most = 0
    while not all(task.done() for task in work):
        most = max(most, engine.stats().running)
        await asyncio.sleep(0)
    assert 1 <= most <= 2
    assert len({(await task).tokens for task in work}) > 1


@pytest.mark.parametrize("kind", get_args(KvType))
async def test_the_caches_element_type_is_what_states_are_made_of(kind: str, wide: Path, engine_of: MakeEngine) -> None:
    sizes = {}
    for one in ("f16", kind):
        engine = engine_of(wide, kv_type=one, n_seq_max=2)
        answer = await _say(engine)
        assert len(answer.tokens) == 12
        sizes[one] = engine.stats().retained_bytes
        await engine.close()
    bits = {"f32": 32, "f16": 16, "bf16": 16, "q8_0": 8.5, "q5_1": 6, "q5_0": 5.5, "q4_1": 5, "q4_0": 4.5}
    assert sizes[kind] / sizes["f16"] == pytest.approx(bits[kind] / 16, rel=0.15)


async def test_flash_attention_may_be_forced_and_forbidden(wide: Path, engine_of: MakeEngine) -> None:
    answers = [await _say(engine_of(wide, flash_attention=mode, n_seq_max=2)) for mode in ("auto", "on", "off")]
    for answer in answers[1:]:
        assert _logprobs(answer)[0] == pytest.approx(_logprobs(answers[0])[0], abs=0.05)
    impossible = engine_of(wide, flash_attention="off", kv_type="q8_0")
    with pytest.raises(ModelLoadError, match="flash"):
        await impossible.load()


async def test_layers_may_stay_on_the_cpu(engine_of: MakeEngine) -> None:
    default, none = await _say(engine_of("llama")), await _say(engine_of("llama", n_gpu_layers=0))
    assert _logprobs(none) == pytest.approx(_logprobs(default), abs=0.05)


def _mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text("utf-8")


def _locked_kb() -> int:
    found = re.search(r"VmLck:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    assert found is not None
    return int(found.group(1))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
async def test_weights_are_mapped_or_read(wide: Path, engine_of: MakeEngine) -> None:
    answers = []
    for mapped in (True, False):
        engine = engine_of(wide, use_mmap=mapped)
        answers.append((await _say(engine)).tokens)
        assert _mapped(wide) is mapped
        await engine.close()
        assert not _mapped(wide)
    assert answers[0] == answers[1]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize("mapped", [True, False])
async def test_weights_may_be_locked_in_memory(mapped: bool, wide: Path, engine_of: MakeEngine) -> None:
    size = wide.stat().st_size
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit != resource.RLIM_INFINITY and limit < 2 * size:
        pytest.skip(f"this user may lock {limit} bytes")
    before = _locked_kb()
    engine = engine_of(wide, use_mlock=True, use_mmap=mapped)
    await _say(engine)
    assert _locked_kb() - before >= 0.8 * size / 1024
    await engine.close()
    if mapped:  # else it was the allocator's, which may keep small blocks
        assert _locked_kb() == before


async def test_rope_can_be_stretched(engine_of: MakeEngine) -> None:
    own = _logprobs(await _say(engine_of("llama")))
    same = _logprobs(await _say(engine_of("llama", rope_freq_base=500_000.0, rope_freq_scale=1.0)))
    assert same == pytest.approx(own, abs=1e-3)
    for other in ({"rope_freq_base": 1_000.0}, {"rope_freq_scale": 0.25}):
        assert _logprobs(await _say(engine_of("llama", **other))) != pytest.approx(own, abs=1e-3)
    vectors = [
        (await engine_of("llama", rope_freq_scale=scale).embed(["the quick brown fox jumps"])).vectors
        for scale in (None, 1.0, 0.25)
    ]
    assert vectors[1] == pytest.approx(vectors[0], abs=1e-3)
    assert vectors[2] != pytest.approx(vectors[0], abs=1e-3)


async def test_llama_cpps_own_log_is_shown_only_when_asked_for(
    engine_of: MakeEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        await engine_of("llama").load()
        assert "llama_" not in capfd.readouterr().err
        await engine_of("llama", verbose=True).load()
        assert "llama_context" in capfd.readouterr().err
        await engine_of("llama").load()
        assert "llama_" not in capfd.readouterr().err
    finally:
        set_verbose(False)


# -- LoRA --------------------------------------------------------------------------------------------------------------


async def test_adapters_with_their_scales_are_as_if_merged_into_the_weights(
    engine_of: MakeEngine, made: Callable[[str], Path], tmp_path: Path
) -> None:
    base = made("llama")
    one, two = tmp_path / "one.gguf", tmp_path / "two.gguf"
    first, second = make_adapter(one, base, 31), make_adapter(two, base, 32)
    plain = await _say(engine_of("llama"))
    silent = await _say(engine_of("llama", lora={str(one): 0.0}))
    assert _logprobs(silent) == pytest.approx(_logprobs(plain), abs=1e-3)
    for number, scales in enumerate(({str(one): 1.0}, {str(one): 0.4}, {str(one): 0.7, str(two): -0.5})):
        adds = [(first if path == str(one) else second, scale) for path, scale in scales.items()]
        built_in = merged(tmp_path / f"merged{number}.gguf", base, *adds)
        expected = await _say(engine_of(built_in))
        adapted = await _say(engine_of("llama", lora=scales))
        assert adapted.tokens == expected.tokens
        assert _logprobs(adapted) == pytest.approx(_logprobs(expected), abs=0.02)
        assert _logprobs(adapted) != pytest.approx(_logprobs(plain), abs=0.02)


async def test_vectors_know_their_adapters_too(
    engine_of: MakeEngine, made: Callable[[str], Path], tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter.gguf"
    add = make_adapter(adapter, made("bert"), 33, architecture="bert")
    built_in = merged(tmp_path / "merged.gguf", made("bert"), (add, 0.8))
    plain, expected, adapted = [
        (await engine.embed(["the quick brown fox"])).vectors
        for engine in (
            engine_of("bert"),
            engine_of(built_in),
            engine_of("bert", lora={str(adapter): 0.8}),
        )
    ]
    assert adapted == pytest.approx(expected, abs=1e-3)
    assert adapted != pytest.approx(plain, abs=1e-2)


async def test_states_of_another_adapter_scale_are_not_used(
    engine_of: MakeEngine, made: Callable[[str], Path], tmp_path: Path
) -> None:
    """A prefix on disk was computed with its adapters."""
    adapter = tmp_path / "one.gguf"
    make_adapter(adapter, made("llama"), 31)
    kept = tmp_path / "kept"

    engine = engine_of("llama", lora={str(adapter): 1.0}, prefix_dir=kept)
    for session in ("anna", "ben"):
        await engine.generate(GenerationRequest(f"{_PROMPT}{session}", 2, prefix_group="g", session=session))
    await engine.close()
    for scale, met in ((1.0, 1), (0.5, 0)):
        engine = engine_of("llama", lora={str(adapter): scale}, prefix_dir=kept)
        await engine.load()
        assert engine.stats().prefixes_on_disk == met


async def test_an_adapter_that_does_not_fit_or_is_none_is_refused(
    engine_of: MakeEngine, made: Callable[[str], Path], tmp_path: Path
) -> None:
    foreign, nonsense = tmp_path / "foreign.gguf", tmp_path / "nonsense.gguf"
    make_adapter(foreign, made("llama"), 31, architecture="qwen2")
    nonsense.write_bytes(b"GGUF" + b"\0" * 64)
    for path in (foreign, nonsense, tmp_path / "missing.gguf"):
        with pytest.raises(ModelLoadError, match="LoRA") as refused:
            await engine_of("llama", lora={str(path): 1.0}).load()
        assert path.name in str(refused.value)
