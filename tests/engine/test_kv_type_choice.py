"""The KV cache is bf16 by itself where the processor multiplies it natively and the weights are coarser anyway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parlant_local.engine import LlamaEngine, sizing
from parlant_local.engine.requests import GenerationRequest
from parlant_local.engine.sizing import plan
from parlant_local.gguf_info import read_header
from parlant_local.settings import EngineSettings

from .conftest import settings_of

Choose = Callable[..., str]


@pytest.fixture
def kv_type(made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Choose:
    def choose(model: str = "tiny", *, native: bool = True, **values: Any) -> str:
        monkeypatch.setattr(sizing, "system_info", lambda: f"CPU : AVX512 = 1 | AVX512_BF16 = {int(native)} | ")
        settings = EngineSettings.model_validate({"n_gpu_layers": 0, **values})
        return plan(read_header(made(model)), model, settings).layout.kv_type

    return choose


def test_it_is_bf16_where_that_is_native(kv_type: Choose) -> None:
    assert kv_type() == "bf16"
    assert kv_type(native=False) == "f16"


def test_unquantized_weights_keep_f16(kv_type: Choose) -> None:
    assert kv_type("llama") == "f16"


def test_flash_attention_keeps_f16(kv_type: Choose) -> None:
    assert kv_type(flash_attention="on") == "f16"


def test_an_explicit_setting_is_honoured(kv_type: Choose) -> None:
    assert kv_type(kv_type="f16") == "f16"
    assert kv_type("llama", kv_type="bf16", native=False) == "bf16"


async def test_an_engine_does_not_load_states_of_another_kv_type(made: Callable[[str], Path], tmp_path: Path) -> None:
    prompt = "A prompt long enough to be worth keeping on disk. " * 8
    reused = []
    for kind in ("f16", "f16", "bf16", "bf16"):
        settings = settings_of(kv_type=kind, n_gpu_layers=0)
        async with LlamaEngine(made("tiny"), settings=settings, prefix_dir=tmp_path) as engine:
            for session in ("one", "two"):
                await engine.generate(GenerationRequest(prompt + session, 2, prefix_group="g", session=session))
            reused.append(engine.stats().reused_tokens)
    cold, warm, cold_again, warm_again = reused
    assert cold < warm
    assert (cold_again, warm_again) == (cold, warm)
