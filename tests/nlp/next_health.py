"""The health report of Parlant's next line as far as it is used, for lines that have none: names and signatures, none of its code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any

import pytest


class OverallHealth(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class StatusCriticality(StrEnum):
    CRITICAL = "critical"
    INFORMATIONAL = "informational"


@dataclass(frozen=True)
class ViewSnapshot:
    status: OverallHealth
    body: Mapping[str, Any]


@dataclass(frozen=True)
class SchemaThresholds:
    degraded_p50_ms: float | None = None
    unhealthy_p50_ms: float | None = None
    degraded_p95_ms: float | None = None
    unhealthy_p95_ms: float | None = None
    degraded_below_success_rate: float | None = None
    unhealthy_below_success_rate: float | None = None


def _judged(value: float, degraded: float, unhealthy: float) -> OverallHealth:
    if value >= unhealthy:
        return OverallHealth.UNHEALTHY
    return OverallHealth.DEGRADED if value >= degraded else OverallHealth.HEALTHY


class NLPHealthView:
    """Judges the middle of what it is told, per schema."""

    name = "nlp"
    criticality = StatusCriticality.CRITICAL
    kinds = ("nlp.request", "nlp.embed")

    def __init__(
        self,
        *,
        health_reporter: Any = None,
        degraded_below_success_rate: float = 0.95,
        degraded_p50_ms: float | None = 20_000.0,
        unhealthy_p50_ms: float | None = 30_000.0,
        degraded_p95_ms: float = 45_000.0,
        unhealthy_p95_ms: float = 60_000.0,
        schema_thresholds: Mapping[str, SchemaThresholds] | None = None,
    ) -> None:
        self._of = dict(schema_thresholds or {})
        self._others = SchemaThresholds(degraded_p50_ms, unhealthy_p50_ms)

    def render(self, reports: Mapping[str, Sequence[Any]]) -> ViewSnapshot:
        told: dict[str, list[float]] = {}
        for report in reports.get("nlp.request", ()):
            told.setdefault(report.attributes["schema"], []).append(report.attributes["latency_ms"])
        schemas = {}
        for name, latencies in told.items():
            limits = self._of.get(name, self._others)
            middle = sorted(latencies)[len(latencies) // 2]
            status = _judged(middle, limits.degraded_p50_ms or 0, limits.unhealthy_p50_ms or 0)
            schemas[name] = {"status": status.value}
        worst = max((each["status"] for each in schemas.values()), key=list(OverallHealth).index, default="healthy")
        return ViewSnapshot(OverallHealth(worst), {"schemas": schemas})


class EngineHealthView:
    name = "engine"
    criticality = StatusCriticality.CRITICAL
    kinds = ("engine.turn",)

    def __init__(
        self, *, health_reporter: Any = None, degraded_p95_ms: float = 30_000.0, unhealthy_p95_ms: float = 60_000.0
    ) -> None:
        self._limits = degraded_p95_ms, unhealthy_p95_ms

    def render(self, reports: Mapping[str, Sequence[Any]]) -> ViewSnapshot:
        worst = max((report.attributes["latency_ms"] for report in reports.get("engine.turn", ())), default=0.0)
        return ViewSnapshot(_judged(worst, *self._limits), {})


class HealthReporter:
    def __init__(self) -> None:
        self.views: list[Any] = []

    def register_view(self, view: Any) -> None:
        self.views.append(view)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    here = sys.modules[__name__]
    defaults = ModuleType("parlant.api.health")
    defaults.DEFAULT_NLP_SCHEMA_THRESHOLDS = {  # type: ignore[attr-defined]  # a module made here
        "CannedResponsePreambleSchema": SchemaThresholds(3_000, 5_000, 8_000, 15_000),
        "StreamingText": SchemaThresholds(5_000, 8_000, 10_000, 15_000),
    }
    monkeypatch.setitem(sys.modules, "parlant.core.health", here)
    monkeypatch.setitem(sys.modules, "parlant.api.health", defaults)
