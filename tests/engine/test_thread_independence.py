"""What makes it safe to vary threads: llama.cpp's logits don't show them, except where we don't vary them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from parlant_local.engine.context import Batch, Context
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import library
from parlant_local.engine.sizing import plan
from parlant_local.gguf_info import read_header

from .conftest import GENERATING, settings_of


@pytest.mark.parametrize("flash_attention", ["on", "off"])
@pytest.mark.parametrize("name", ["tiny", *GENERATING])
def test_the_logits_of_small_steps_are_the_same_with_any_number_of_threads(
    name: str, flash_attention: Literal["on", "off"], made: Callable[[str], Path]
) -> None:
    path = made(name)
    settings = settings_of(n_ctx=1024, n_seq_max=4, n_threads=None, flash_attention=flash_attention)
    layout = plan(read_header(path), path.name, settings).layout
    assert layout.n_threads_vary
    model = LoadedModel(path, settings)
    rows = []
    try:
        for threads in (1, 2, 3):
            context = Context(model, settings, layout)
            try:
                for tokens in (2, 3, 7, *([1] if flash_attention == "off" else [])):
                    rows.append(_logits(context, threads, tokens))
            finally:
                context.close()
    finally:
        model.release()
    sizes = len(rows) // 3
    for one, two, three in zip(rows[:sizes], rows[sizes : 2 * sizes], rows[2 * sizes :], strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)


@pytest.mark.parametrize("key", ["n_threads", "n_threads_batch"])
def test_explicit_thread_counts_are_kept(key: str, made: Callable[[str], Path]) -> None:
    path = made("llama")
    settings = settings_of(**{"n_threads": None, key: 2})
    assert not plan(read_header(path), path.name, settings).layout.n_threads_vary


def _logits(context: Context, threads: int, tokens: int) -> np.ndarray:
    """After 600 tokens, of a step of so many."""
    context._threads = None
    batch = Batch(context.layout.n_batch)
    prompt = [int(token) for token in np.random.default_rng(1).integers(10, 200, 600)]
    for start in range(0, 600, 200):
        batch.clear()
        batch.add(0, prompt[start : start + 200], start, output_last=False)
        assert context.decode(batch) == "ok"
    library().llama_set_n_threads(context._pointer, threads, threads)
    batch.clear()
    last = batch.add(0, prompt[:tokens], 600, output_last=True)
    assert context.decode(batch) == "ok"
    found = context.logits(last).copy()
    context.drop(0)
    library().llama_set_n_threads(context._pointer, 2, 2)
    return found
