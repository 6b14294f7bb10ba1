"""Flash attention on a CPU is for those who ask, for quantized caches, and where memory for scores is scarce."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parlant_local.engine import sizing
from parlant_local.engine.sizing import plan
from parlant_local.gguf_info import read_header
from parlant_local.settings import EngineSettings

_MIB = 1024 * 1024


@pytest.fixture
def attention(made: Callable[[str], Path]) -> Callable[..., str]:
    path = made("llama")

    def choose(**values: Any) -> str:
        return plan(
            read_header(path), path.name, EngineSettings.model_validate({"n_gpu_layers": 0, **values})
        ).layout.flash_attention

    return choose


@pytest.mark.parametrize("kv_type", [None, "f16", "bf16", "f32"])
def test_it_is_off_by_default(attention: Callable[..., str], kv_type: str | None) -> None:
    assert attention(kv_type=kv_type) == "off"


def test_a_quantized_cache_needs_it(attention: Callable[..., str]) -> None:
    assert attention(kv_type="q8_0") == "auto"


@pytest.mark.parametrize("asked", ["on", "off"])
def test_an_explicit_setting_is_honoured(attention: Callable[..., str], asked: str) -> None:
    assert attention(flash_attention=asked) == asked


def test_scores_that_take_too_much_memory_are_avoided(
    attention: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"n_ctx": 2048, "kv_tokens": 2048}
    monkeypatch.setattr(sizing, "available_memory", lambda: 256 * _MIB)
    assert attention(**small) == "off"
    monkeypatch.setattr(sizing, "available_memory", lambda: 16 * _MIB)
    assert attention(**small) == "auto"
