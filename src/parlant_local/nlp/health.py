"""Parlant's health report, judged by how fast this model is. Releases up to 3.3 have none.

Its thresholds are made for clouds: a model on a processor would be unhealthy for good. Parlant makes the views of its report with
these thresholds and knows no way to change them; so each view is replaced, as Parlant registers it, by one of the same name that makes
Parlant's own anew whenever it is rendered, with the thresholds of the moment.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from importlib import import_module
from typing import Any

from lagom import Container

from parlant_local import telemetry
from parlant_local.backends.base import Backend
from parlant_local.nlp.pace import Factors, Pace
from parlant_local.switching import RoutedBackend

__all__ = ["follow_pace"]

_DEFAULTS = "parlant.api.health", "DEFAULT_NLP_SCHEMA_THRESHOLDS"
_SLOW = "degraded_p50_ms"


def follow_pace(container: Container | None, pace: Pace, backend: Backend) -> None:
    """Has the report of the host's ``container``, where there is one, follow ``pace``; it gets a section about ``backend`` as well."""
    health = _module("parlant.core.health")
    if container is None or health is None or health.HealthReporter not in container.defined_types:
        return
    reporter = container[health.HealthReporter]
    register: Callable[[Any], None] = reporter.register_view

    def register_view(view: Any) -> None:
        register(_following(view, health, reporter, pace))
        if type(view) is health.NLPHealthView:
            register(_ModelView(health, pace, backend))

    reporter.register_view = register_view


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


def _following(view: Any, health: Any, reporter: Any, pace: Pace) -> Any:
    """``view``, or what takes its place; views that are not Parlant's own stay."""
    if type(view) is health.NLPHealthView:
        return _Following(view, lambda: _nlp_view(health, reporter, pace))
    if type(view) is health.EngineHealthView:
        return _Following(view, lambda: _engine_view(health, reporter, pace))
    return view


class _Following:
    """A view that is made anew each time."""

    def __init__(self, view: Any, make: Callable[[], Any]) -> None:
        self.name, self.criticality, self.kinds = view.name, view.criticality, view.kinds
        self._make = make

    def render(self, reports: Mapping[str, Any]) -> Any:
        return self._make().render(reports)


def _nlp_view(health: Any, reporter: Any, pace: Pace) -> Any:
    defaults = _milliseconds(health.NLPHealthView)
    own = _own_thresholds(health, defaults)
    factors = _factors(own, defaults, pace)
    kinds = {name: own.get(name, own[""]) for name in {*own, *factors.kinds} - {""}}
    return health.NLPHealthView(
        health_reporter=reporter,
        schema_thresholds={name: _raised(found, factors.of(name)) for name, found in kinds.items()},
        **{name: value * factors.others for name, value in defaults.items()},
    )


def _engine_view(health: Any, reporter: Any, pace: Pace) -> Any:
    defaults = _milliseconds(health.NLPHealthView)
    turns = _factors(_own_thresholds(health, defaults), defaults, pace).turns
    raised = {name: value * turns for name, value in _milliseconds(health.EngineHealthView).items()}
    return health.EngineHealthView(health_reporter=reporter, **raised)


def _factors(own: Mapping[str, Any], defaults: Mapping[str, float], pace: Pace) -> Factors:
    slow = {name: milliseconds / 1000 for name, found in own.items() if (milliseconds := getattr(found, _SLOW, None))}
    return pace.factors(slow, defaults.get(_SLOW, 20_000.0) / 1000)


def _milliseconds(view: type) -> dict[str, float]:
    """The thresholds of a view that are times, as it has them by default."""
    parameters: Iterable[inspect.Parameter] = inspect.signature(view).parameters.values()
    return {each.name: each.default for each in parameters if each.name.endswith("_ms") and each.default is not None}


def _own_thresholds(health: Any, defaults: Mapping[str, float]) -> dict[str, Any]:
    """Parlant's own, by schema; those of schemas that it does not name have the name ``""``."""
    module, name = _DEFAULTS
    known = {field.name for field in fields(health.SchemaThresholds)}
    unnamed = health.SchemaThresholds(**{key: value for key, value in defaults.items() if key in known})
    return {**getattr(_module(module), name, {}), "": unnamed}


def _raised(thresholds: Any, factor: float) -> Any:
    times = {field.name: getattr(thresholds, field.name) for field in fields(thresholds) if field.name.endswith("_ms")}
    return replace(thresholds, **{name: value * factor for name, value in times.items() if value is not None})


class _ModelView:
    """What is known of the model: its usual seconds, and what is wrong though it answers, by the server's names for that."""

    name = "parlant_local"
    kinds = ()

    def __init__(self, health: Any, pace: Pace, backend: Backend) -> None:
        self.criticality = health.StatusCriticality.INFORMATIONAL
        self._health, self._pace, self._backend = health, pace, backend

    def render(self, _reports: Mapping[str, Any]) -> Any:
        reasons = list(self._reasons())
        status = self._health.OverallHealth.DEGRADED if reasons else self._health.OverallHealth.HEALTHY
        usual = {kind: round(seconds, 3) for kind, seconds in self._pace.usual().items()}
        body = {"model": self._backend.model_info().id, "reasons": reasons, "usual_seconds": usual}
        return self._health.ViewSnapshot(status=status, body=body)

    def _reasons(self) -> Iterable[str]:
        if isinstance(self._backend, RoutedBackend):
            for report in self._backend.reports():
                if report.breaker != "closed":
                    yield f"breaker-open: The circuit breaker of {report.id} is {report.breaker.replace('_', '-')}."
        for signal in telemetry.unsent():
            yield f"telemetry-unsent: OpenTelemetry's {signal} did not arrive when they were sent last."
