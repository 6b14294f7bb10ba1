"""Recommended models for a machine: those that fit its memory, by the time of a Parlant turn."""

from __future__ import annotations

from dataclasses import dataclass

from parlant_local.catalog.records import ModelType
from parlant_local.catalog.short_names import ShortName, short_names
from parlant_local.profiles.embedding import EMBEDDERS, Embedder

__all__ = ["COLD_TURN_TOKENS", "WARM_TURN_TOKENS", "Recommendation", "recommend", "recommend_embedders"]

COLD_TURN_TOKENS = 45_000
"""Prompt tokens of a turn with ten guidelines, when nothing is cached."""
WARM_TURN_TOKENS = COLD_TURN_TOKENS // 10
"""The tokens that remain once prefixes are cached."""

_FIRST_CELLS = 8_192  # that a model is loaded with
_TURN_CELLS = 16_384  # for a turn's concurrent calls, their prefixes shared
_EMBEDDER_BYTES = 256 << 20  # compute buffers: texts are short
_RESERVE = 0.92  # of the memory: the rest is for everything else on the machine
_RESPONSIVE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model to pull. Seconds are for the prefill of one turn's prompts; decoding answers takes more."""

    name: str
    """For ``parlant-local pull``."""
    hub: str
    type: ModelType
    parameters: float
    """Billions."""
    size: int
    """Bytes to download, at Q4_K_M."""
    memory: int
    """Bytes once it is loaded: weights, a cache of 8k cells, compute buffers, vocabulary. A turn may take twice the cells."""
    cold_turn_seconds: float | None
    """None where this machine has not been measured."""
    warm_turn_seconds: float | None
    reasoning: bool
    """Whether it reasons before it answers, which takes longer."""
    license: str | None
    responsive: bool
    """Whether the prefill of a warm turn takes at most half a minute."""


def recommend(memory: int, operations_per_second: float | None, limit: int = 5) -> list[Recommendation]:
    """Chat models that fit into ``memory`` bytes, the most capable responsive ones first, then the quickest others.

    The most capable of all is among them, however slow: that the memory holds it is worth knowing, too.
    """
    found = [_rate(entry, operations_per_second) for entry in short_names() if entry.type is not ModelType.EMBEDDING]
    turns = {entry.name: entry.kv_bytes(_TURN_CELLS - _FIRST_CELLS) for entry in short_names()}
    fitting = [item for item in found if item.memory + turns[item.name] <= memory * _RESERVE]
    quick = sorted((item for item in fitting if item.responsive), key=_capability, reverse=True)
    slow = sorted(
        (item for item in fitting if not item.responsive),
        key=lambda item: (item.warm_turn_seconds or 0.0, -item.parameters),
    )
    if not fitting:
        return []
    chosen = (quick + slow)[:limit]
    largest = max(fitting, key=_capability)
    if limit > 1 and largest not in chosen:
        chosen[-1] = largest
    return chosen


def recommend_embedders(memory: int) -> list[Embedder]:
    """Embedding models that fit into ``memory`` bytes: the default, then those for many languages, the smallest first."""
    return [entry for entry in EMBEDDERS if entry.size + _EMBEDDER_BYTES <= memory * _RESERVE]


def _rate(entry: ShortName, operations: float | None) -> Recommendation:
    per_token = 2 * entry.active_parameters * 1e9
    cold = COLD_TURN_TOKENS * per_token / operations if operations else None
    warm = WARM_TURN_TOKENS * per_token / operations if operations else None
    return Recommendation(
        name=entry.name,
        hub=f"{entry.hub}:Q4_K_M",
        type=entry.type,
        parameters=entry.parameters,
        size=entry.size,
        memory=entry.size + entry.kv_bytes(_FIRST_CELLS) + _overhead(entry.parameters),
        cold_turn_seconds=cold,
        warm_turn_seconds=warm,
        reasoning=entry.reasoning,
        license=entry.license,
        responsive=warm is None or warm <= _RESPONSIVE_SECONDS,
    )


def _overhead(billions: float) -> int:
    """Compute buffers and vocabulary, as the engine's own estimate is for models of these sizes."""
    mib = min(80 + 300 * billions, 360) + 3.5 * billions
    return int(mib * (1 << 20))


def _capability(item: Recommendation) -> tuple[float, bool]:
    return item.parameters, not item.reasoning
