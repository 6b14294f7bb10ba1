"""Finds the fastest cache layout, attention and batch sizes for this machine, on a workload of concurrent requests."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlant_local.engine.measuring.speed import Workload, workload_seconds
from parlant_local.errors import ContextOverflowError, EngineError
from parlant_local.settings import EngineSettings

if TYPE_CHECKING:
    from parlant_local.engine.engine import LlamaEngine
    from parlant_local.engine.vetting import Vetting
    from parlant_local.observability import Logger

__all__ = ["Trial", "Tuning", "tune"]

# The defaults are the baseline, so only other values are tried.
_CHOICES: tuple[Mapping[str, Any], ...] = (
    {"unified_kv": False},
    {"flash_attention": "off"},
    {"flash_attention": "on"},
    {"n_ubatch": 64},
    {"n_ubatch": 256},
    {"n_ubatch": 512},
    {"n_ubatch": 1024},
    {"n_batch": 1024},
)
_MAX_RATIO = 0.95
"""A change must be this much faster, and so in all pairs of runs but one: anything less may be noise."""


@dataclass(frozen=True, slots=True)
class Trial:
    """``settings`` against the best so far, in alternating runs, so that both see the same machine load."""

    settings: Mapping[str, Any]
    ratio: float | None
    """Time over that of the best so far, the median of the pairs; below 1 is faster. None: it did not run."""
    seconds: float | None = None
    """Median time of the workload."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tuning:
    """``settings``: keys of :class:`EngineSettings` and the values that won; none where the defaults did."""

    settings: Mapping[str, Any]
    trials: tuple[Trial, ...]


async def tune(
    path: Path,
    settings: EngineSettings,
    *,
    workload: Workload | None = None,
    runs: int = 5,
    vetting: Vetting | None = None,
    logger: Logger | None = None,
    progress: Callable[[Trial], None] | None = None,
) -> Tuning:
    """Tries each choice on top of the best so far. Loads the model for each; nothing else should run meanwhile.

    Choices that ``settings`` already make are not tried. Raises what loading raises where not even the defaults run.
    """
    workload = workload or Workload()
    n_ctx = workload.shared + workload.own + workload.answer
    fixed = settings.model_dump(exclude_unset=True)
    base = {**fixed, "n_ctx": n_ctx, "n_seq_max": workload.requests}

    def engine(changes: Mapping[str, Any]) -> LlamaEngine:
        from parlant_local.engine.engine import LlamaEngine

        chosen = EngineSettings.model_validate(base | dict(changes))
        return LlamaEngine(path, settings=chosen, vetting=vetting, logger=logger)

    best: dict[str, Any] = {}
    champion = engine(best)
    trials: list[Trial] = []
    try:
        await workload_seconds(champion, workload)  # warms pages, threads and caches
        for choice in _CHOICES:
            if choice.keys() & fixed.keys():
                continue
            candidate = {**best, **choice}
            challenger = engine(candidate)
            trial = await _compare(champion, challenger, candidate, workload, runs)
            trials.append(trial)
            if progress is not None:
                progress(trial)
            if trial.ratio is not None and trial.ratio < _MAX_RATIO:
                best, champion, challenger = candidate, challenger, champion
            await challenger.close()
    finally:
        await champion.close()
    return Tuning(best, tuple(trials))


async def _compare(
    champion: LlamaEngine, challenger: LlamaEngine, candidate: Mapping[str, Any], workload: Workload, runs: int
) -> Trial:
    try:
        await workload_seconds(challenger, workload)
    except (EngineError, ContextOverflowError) as error:
        return Trial(candidate, None, reason=str(error))
    pairs = [
        (await workload_seconds(challenger, workload), await workload_seconds(champion, workload)) for _ in range(runs)
    ]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    if sum(ours >= theirs for ours, theirs in pairs) > 1:
        ratio = max(ratio, 1.0)
    return Trial(candidate, ratio, statistics.median(ours for ours, _ in pairs))
