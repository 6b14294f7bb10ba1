"""`bench` against the raw low-level loop: what it reports is what the machine does."""

from __future__ import annotations

import asyncio
import ctypes
import json
import platform
import statistics
import time

import numpy as np
import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.layout import FLASH
from parlant_local.engine.measuring.speed import measure_decode, measure_prefill
from parlant_local.engine.native import library
from parlant_local.settings import EngineSettings
from tests.support.places import REPOSITORY, TINY

PROMPT, ANSWER, PAIRS = 512, 64, 15


class RawLoop:
    """The shortest loop over llama.cpp: decode, argmax, decode. Same context layout and threads as the engine's."""

    def __init__(self, engine: LlamaEngine) -> None:
        self.lib = lib = library()
        layout = engine.sizing.layout
        self.n_vocab = engine.model.n_vocab
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = layout.cells, layout.n_batch, layout.n_ubatch
        params.n_seq_max, params.kv_unified = layout.n_seq, layout.unified
        params.n_threads, params.n_threads_batch = layout.n_threads, layout.n_threads_batch
        params.flash_attn_type = FLASH["off"]
        params.no_perf = True
        self.context = lib.llama_init_from_model(engine.model.pointer, params)
        self.memory = lib.llama_get_memory(self.context)

    def close(self) -> None:
        self.lib.llama_free(self.context)

    def decode(self, tokens: list[int]) -> None:
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        assert self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(array, len(tokens))) == 0

    def best(self) -> int:
        pointer = self.lib.llama_get_logits_ith(self.context, -1)
        return int(np.ctypeslib.as_array(pointer, shape=(self.n_vocab,)).argmax())

    def prefill_rate(self, prompt: list[int]) -> float:
        self.lib.llama_memory_clear(self.memory, True)
        began = time.monotonic()
        self.decode(prompt)
        self.best()
        return len(prompt) / (time.monotonic() - began)

    def decode_rate(self, prompt: list[int]) -> float:
        self.lib.llama_memory_clear(self.memory, True)
        self.decode(prompt)
        token = self.best()
        began = time.monotonic()
        for _ in range(ANSWER - 1):
            self.decode([token])
            token = self.best()
        return (ANSWER - 1) / (time.monotonic() - began)


@pytest.mark.evidence
async def test_bench_reports_the_speed_of_the_raw_loop() -> None:
    """Medians of 15 pairs run by turns. One request through the engine costs little over the bare loop."""
    # What the engine would choose by itself is fixed, so that both compute the same in the same way.
    settings = EngineSettings(
        n_ctx=1024, n_seq_max=1, n_threads=1, flash_attention="off", kv_type="f16", n_gpu_layers=0
    )
    async with LlamaEngine(TINY, settings=settings) as engine:
        raw = RawLoop(engine)
        prompt = [int(token) for token in np.random.default_rng(0).integers(10, engine.model.n_vocab, PROMPT)]
        ratios: dict[str, list[float]] = {"prefill": [], "decode": []}
        try:
            for _ in range(PAIRS):
                theirs = await asyncio.to_thread(raw.prefill_rate, prompt)
                (row,) = await measure_prefill(engine, [PROMPT], 1)
                ratios["prefill"].append(row.tokens_per_second / theirs)
                theirs = await asyncio.to_thread(raw.decode_rate, prompt[:64])
                (row,) = await measure_decode(engine, [1], 1, depth=64, answer=ANSWER)
                ratios["decode"].append(row.tokens_per_second / theirs)
        finally:
            raw.close()
    medians = {kind: statistics.median(values) for kind, values in ratios.items()}
    record = {
        "what": "bench's tokens per second over those of the raw loop; medians of 15 pairs run by turns",
        "model": TINY.name,
        "machine": platform.processor() or platform.machine(),
        "medians": medians,
        "ratios": {kind: [round(value, 3) for value in values] for kind, values in ratios.items()},
    }
    folder = REPOSITORY / "docs" / "evidence"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench-against-raw-loop.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    assert 0.7 < medians["prefill"] < 1.4, medians  # a busy machine moves even medians of pairs
    assert 0.6 < medians["decode"] < 1.4, medians
