"""What doesn't work as it should while requests are answered, by name: why a server is degraded. docs/server.md has the names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from parlant_local import telemetry
from parlant_local.backends.in_process import InProcessBackend
from parlant_local.engine import EngineStats
from parlant_local.engine.native import library
from parlant_local.engine.sizing import usable_gpus
from parlant_local.errors import ContextOverflowError, UnsupportedCallError
from parlant_local.server.models import Models
from parlant_local.settings import HealthSettings

__all__ = ["STATES", "Shortcoming", "Shortcomings", "State"]

State = Literal[
    "breaker-open",
    "fallback-in-use",
    "engine-recovered",
    "cpu-instead-of-gpu",
    "models-thrash",
    "queue-long",
    "remote-budget-spent",
    "telemetry-unsent",
]
STATES: tuple[State, ...] = get_args(State)
_THRASH_SECONDS = 1800.0
_BY_DESIGN = (ContextOverflowError.__name__, UnsupportedCallError.__name__)
"""Calls that another model takes because the first one can't: that is what it is configured for."""


@dataclass(frozen=True, slots=True)
class Shortcoming:
    state: State
    text: str

    def __str__(self) -> str:
        return f"{self.state}: {self.text}"


@dataclass(frozen=True)
class Shortcomings:
    """``cards`` are the graphics cards that the machine was seen to have, whatever llama.cpp can use."""

    models: Models
    stats: Callable[[], Mapping[str, EngineStats]]
    cards: Callable[[], Sequence[str]]
    settings: HealthSettings

    def now(self) -> list[Shortcoming]:
        stats = self.stats()
        found = [
            *self._breakers(),
            *self._fallbacks(),
            *self._recovered(stats),
            *self._on_processor(),
            *self._thrash(),
            *self._queues(stats),
            *self._budget(),
            *self._telemetry(),
        ]
        return list(dict.fromkeys(found))

    def _breakers(self) -> Iterator[Shortcoming]:
        for target, state in self.models.breakers().items():
            if state != "closed":
                yield Shortcoming("breaker-open", f"The circuit breaker of {target} is {state.replace('_', '-')}.")

    def _fallbacks(self) -> Iterator[Shortcoming]:
        """Of each target that answered in another one's place lately, which one's."""
        since = time.time() - self.settings.fallback_seconds
        for told in self.models.recent_switches():
            failed, _, kind = told["reason"].rpartition(": ")
            if told["error"] is None and told["time"] >= since and kind not in _BY_DESIGN:
                yield Shortcoming("fallback-in-use", f"{told['target']} answers in the place of {failed}.")

    def _recovered(self, stats: Mapping[str, EngineStats]) -> Iterator[Shortcoming]:
        for name, figures in stats.items():
            if figures.recent_failures:
                yield Shortcoming(
                    "engine-recovered", f"The engine of {self.models.label(name)} failed lately and was loaded anew."
                )

    def _on_processor(self) -> Iterator[Shortcoming]:
        for name, backend in self.models.pool.loaded().items():
            if why := self._kept_off_gpu(backend):
                yield Shortcoming("cpu-instead-of-gpu", f"{self.models.label(name)} runs on the processor: {why}.")

    def _kept_off_gpu(self, backend: InProcessBackend) -> str | None:
        engine = backend.engine
        settings = engine.effective_settings
        if settings.n_gpu_layers == 0 or not engine.loaded or engine.gpu_bytes:
            return None
        if not library(settings.library).llama_supports_gpu_offload():
            cards = ", ".join(self.cards())
            return f"this llama.cpp can't use {cards}" if cards else None
        return "its layers had no room on a GPU" if usable_gpus(settings) else None

    def _thrash(self) -> Iterator[Shortcoming]:
        count = self.models.pool.evictions(_THRASH_SECONDS)
        if count >= self.settings.evictions:
            yield Shortcoming(
                "models-thrash",
                f"Models took each other's memory {count} times in half an hour (health.evictions). Raise engine.memory_mb, or serve fewer.",
            )

    def _queues(self, stats: Mapping[str, EngineStats]) -> Iterator[Shortcoming]:
        for name, figures in stats.items():
            if figures.waiting >= self.settings.waiting:
                yield Shortcoming(
                    "queue-long", f"{figures.waiting} requests wait for {self.models.label(name)} (health.waiting)."
                )

    def _budget(self) -> Iterator[Shortcoming]:
        if limit := self.models.spent_up():
            yield Shortcoming(
                "remote-budget-spent", f"The tokens for remote models are used up (switcher.budget.{limit})."
            )

    def _telemetry(self) -> Iterator[Shortcoming]:
        for signal in telemetry.unsent():
            yield Shortcoming("telemetry-unsent", f"OpenTelemetry's {signal} did not arrive when they were sent last.")
