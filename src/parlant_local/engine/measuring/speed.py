"""A model's prefill and decode speed on this machine, through the engine."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlant_local.engine.requests import Generation, GenerationRequest, Sampling

if TYPE_CHECKING:
    from parlant_local.engine.engine import LlamaEngine

__all__ = ["Measurement", "Workload", "measure_decode", "measure_prefill", "workload_seconds"]

_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row: ``size`` prompt tokens (prefill), or ``size`` concurrent answers (decode)."""

    kind: str
    size: int
    tokens_per_second: float
    """All answers together; the median of the runs."""
    runs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """Concurrent requests as an agent sends them: one shared prompt prefix, each with its own suffix."""

    requests: int = 8
    shared: int = 512
    own: int = 64
    answer: int = 32


class _Source:
    """Random ordinary tokens: speed doesn't depend on meaning, but a cached prefix would distort it."""

    def __init__(self, engine: LlamaEngine) -> None:
        model = engine.model
        ends = model.end_tokens
        self._tokens = [t for t in range(model.n_vocab) if t not in ends and not model.is_control(t)]
        # Every answer must have the measured length, so end tokens are banned.
        self.sampling = Sampling(temperature=0.0, logit_bias=dict.fromkeys(ends, _NEVER))

    def prompt(self, size: int) -> list[int]:
        return random.choices(self._tokens, k=size)

    def request(self, prompt: Sequence[int], answer: int) -> GenerationRequest:
        return GenerationRequest(prompt=tuple(prompt), max_tokens=answer, sampling=self.sampling, add_bos=False)


async def measure_prefill(engine: LlamaEngine, sizes: Sequence[int], runs: int) -> list[Measurement]:
    """Prompt tokens per second for prompts of each size that fits."""
    await engine.load()
    source = _Source(engine)
    rows = []
    for size in sizes:
        if size + 1 > engine.n_ctx:
            continue
        rates = []
        for _ in range(runs):
            done = await engine.generate(source.request(source.prompt(size), 1))
            rates.append(size / done.timings.prefill)
        rows.append(Measurement("prefill", size, statistics.median(rates), tuple(rates)))
    return rows


async def measure_decode(
    engine: LlamaEngine, batches: Sequence[int], runs: int, *, depth: int = 64, answer: int = 48
) -> list[Measurement]:
    """Total answer tokens per second for each number of concurrent answers, after prompts of ``depth`` tokens."""
    await engine.load()
    source = _Source(engine)
    rows = []
    for batch in batches:
        if batch > engine.sizing.layout.n_seq:
            continue
        rates = []
        for _ in range(runs):
            shared = source.prompt(depth)
            await engine.generate(source.request(shared, 1))
            prompts = [[*shared, *source.prompt(2)] for _ in range(batch)]
            work = [engine.generate(source.request(prompt, answer)) for prompt in prompts]
            rates.append(_rate(await asyncio.gather(*work), answer))
        rows.append(Measurement("decode", batch, statistics.median(rates), tuple(rates)))
    return rows


def _rate(done: Sequence[Generation], answer: int) -> float:
    """The first token of each answer comes from its prefill, so it is not counted."""
    return len(done) * (answer - 1) / max(generation.timings.decode for generation in done)


async def workload_seconds(engine: LlamaEngine, workload: Workload) -> float:
    """Wall time of ``workload`` without any cached prefix."""
    await engine.load()
    source = _Source(engine)
    shared = source.prompt(workload.shared)
    prompts = [[*shared, *source.prompt(workload.own)] for _ in range(workload.requests)]
    began = time.monotonic()
    await asyncio.gather(*(engine.generate(source.request(prompt, workload.answer)) for prompt in prompts))
    return time.monotonic() - began
