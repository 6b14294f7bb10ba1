"""Figures of the server's state, as Prometheus reads them: memory, loads, circuit breakers, tokens of clouds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from prometheus_client.core import Metric

from parlant_local.server.metrics import figure
from parlant_local.server.models import Models
from parlant_local.server.shortcomings import STATES, Shortcomings

__all__ = ["state_figures"]

Labelled: TypeAlias = dict[tuple[str, ...], float]
_BREAKER = {"closed": 0, "half_open": 1, "open": 2}


def state_figures(models: Models, shortcomings: Shortcomings) -> Iterable[Metric]:
    pool = models.pool
    by_model: Labelled = {}
    for key, place in pool.status().items():
        label = (models.label(key),)  # a model with adapters counts by their names, whatever their scales
        by_model[label] = by_model.get(label, 0) + place.size
    yield figure("model_memory_bytes", "Memory of loaded models, as estimated.", ["model"], by_model)
    yield figure("model_loads", "Models that were loaded.", (), {(): pool.loads}, grows=True)
    unloads: Labelled = {(why,): float(count) for why, count in pool.unloads.items()}
    yield figure("model_unloads", "Models that were unloaded, by reason.", ["reason"], unloads, grows=True)
    breakers: Labelled = {}
    for target, state in models.breakers().items():
        label = (models.label(target),)  # those that only a client has named share one
        breakers[label] = max(breakers.get(label, 0), _BREAKER[state])
    yield figure("breaker_state", "Circuit breaker of a target: 0 closed, 1 half-open, 2 open.", ["target"], breakers)
    spent = models.spent()
    remote: Labelled = {("today",): float(spent.today), ("total",): float(spent.total)}
    yield figure("remote_tokens", "Tokens that remote models were given and gave.", ["since"], remote)
    here = {found.state for found in shortcomings.now()}
    named: Labelled = {(state,): float(state in here) for state in STATES}
    yield figure("degraded", "1 while the server is degraded for this reason.", ["reason"], named)
