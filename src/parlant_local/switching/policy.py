"""In which order targets are tried. Pure functions over what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from parlant_local.backends.base import ModelInfo
from parlant_local.settings import TargetSettings

__all__ = ["POLICIES", "Candidate", "Policy", "PolicyName"]

PolicyName = Literal["local_first", "fastest", "cheapest", "quality", "explicit"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target that could serve the call."""

    id: str
    position: int
    """0: the primary; then as configured."""
    info: ModelInfo
    facts: TargetSettings
    healthy: bool
    """Whether its breaker admits calls."""
    typical_seconds: float | None
    """Median latency of calls of this schema; ``None`` before the first."""
    score: float | None = None
    """What `parlant-local evaluate` made of the model, 0 to 1; ``None`` before that."""


Policy = Callable[[Sequence[Candidate]], Sequence[Candidate]]
"""Orders the candidates; those that it omits are not tried."""


def explicit(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """As configured."""
    return sorted(candidates, key=lambda item: item.position)


def local_first(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """The primary, then the targets on this machine, then the others."""
    return sorted(candidates, key=lambda item: (item.position > 0, item.info.remote, item.position))


def fastest(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """By median latency; those never measured come first, once."""
    return sorted(candidates, key=lambda item: (item.typical_seconds or 0.0, item.position))


def cheapest(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """By stated cost; this machine before others where equal."""
    return sorted(candidates, key=lambda item: (item.facts.cost_per_million_tokens, item.info.remote, item.position))


def quality(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """By stated rank, else by parameters (a rank of one per billion), unknown ones last; then those that were evaluated, and
    have no stated rank, take the places that they have among them by score."""

    def rank(item: Candidate) -> float:
        if item.facts.quality is not None:
            return item.facts.quality
        return (item.info.parameters or 0) / 1e9

    ordered = sorted(candidates, key=lambda item: (-rank(item), item.position))
    evaluated = [item for item in ordered if item.facts.quality is None and item.score is not None]
    best = iter(sorted(evaluated, key=lambda item: -(item.score or 0.0)))
    return [next(best) if item in evaluated else item for item in ordered]


POLICIES: dict[str, Policy] = {
    "local_first": local_first,
    "fastest": fastest,
    "cheapest": cheapest,
    "quality": quality,
    "explicit": explicit,
}
