"""Parlant's health report follows the model's own pace: slow is what is slow for it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest
from lagom import Container

from parlant_local.backends.base import Backend
from parlant_local.errors import OutputError
from parlant_local.messages import Timings, Usage
from parlant_local.nlp.health import follow_pace
from parlant_local.nlp.pace import Pace
from parlant_local.nlp.recording import CallRecorder
from parlant_local.settings import HealthSettings
from tests.fakes.scripted import ScriptedBackend
from tests.nlp import next_health

PREAMBLE = "CannedResponsePreambleSchema"
REAL = find_spec("parlant.core.health") is not None


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Parlant's own where this line has it."""
    if not REAL:
        next_health.install(monkeypatch)
    return import_module("parlant.core.health")


class Report:
    """The views that Parlant registers, as the service lets them through."""

    def __init__(self, health: Any, pace: Pace, backend: Backend | None = None) -> None:
        container = Container()
        reporter = health.HealthReporter(SimpleNamespace(instance_id="i")) if REAL else health.HealthReporter()
        container[health.HealthReporter] = reporter
        self.views: dict[str, Any] = {}
        reporter.register_view = lambda view: self.views.update({view.name: view})
        follow_pace(container, pace, backend or ScriptedBackend())
        reporter.register_view(health.NLPHealthView(health_reporter=reporter))
        reporter.register_view(health.EngineHealthView(health_reporter=reporter))

    def of_calls(self, schema: str, seconds: float) -> str:
        told = {"schema": schema, "latency_ms": seconds * 1000, "success": True, "model": "m"}
        reports = {"nlp.request": [SimpleNamespace(attributes=told)] * 9}
        return str(self.views["nlp"].render(reports).body["schemas"][schema]["status"])

    def of_turns(self, seconds: float) -> str:
        told = {"latency_ms": seconds * 1000, "success": True}
        return str(self.views["engine"].render({"engine.turn": [SimpleNamespace(attributes=told)] * 9}).status.value)


def _paced(*kinds: tuple[str, float], **settings: float) -> Pace:
    pace = Pace(HealthSettings(**settings))
    for kind, seconds in kinds:
        for _ in range(8):
            pace.note(kind, seconds)
    return pace


def test_before_anything_was_measured_a_processor_may_take_its_time(health: Any) -> None:
    report = Report(health, Pace())
    assert report.of_calls(PREAMBLE, 50) == "healthy"  # a cloud would be unhealthy from 5 s on
    assert report.of_calls(PREAMBLE, 61) == "degraded"
    assert report.of_turns(590) == "healthy"


def test_slow_is_three_times_the_usual(health: Any) -> None:
    report = Report(health, _paced((PREAMBLE, 10.0)))
    assert report.of_calls(PREAMBLE, 29) == "healthy"
    assert report.of_calls(PREAMBLE, 31) == "degraded"
    assert report.of_calls(PREAMBLE, 51) == "unhealthy"  # Parlant's proportion: 5 s to 3 s
    assert report.of_turns(290) == "healthy"
    assert report.of_turns(310) == "degraded"


def test_how_many_times_is_a_setting(health: Any) -> None:
    report = Report(health, _paced((PREAMBLE, 10.0), slow_times=10))
    assert report.of_calls(PREAMBLE, 99) == "healthy"
    assert report.of_calls(PREAMBLE, 101) == "degraded"


def test_a_quick_model_is_never_judged_more_strictly_than_a_cloud(health: Any) -> None:
    report = Report(health, _paced((PREAMBLE, 0.05), ("Another", 0.01)))
    assert report.of_calls(PREAMBLE, 2.9) == "healthy"
    assert report.of_calls(PREAMBLE, 3.1) == "degraded"
    assert report.of_calls("Another", 19) == "healthy"
    assert report.of_calls("Another", 31) == "unhealthy"
    assert report.of_turns(31) == "degraded"


def test_a_kind_that_was_not_measured_is_judged_like_the_others(health: Any) -> None:
    report = Report(health, _paced((PREAMBLE, 10.0)))  # ten times as slow as Parlant expects
    assert report.of_calls("Another", 199) == "healthy"
    assert report.of_calls("Another", 201) == "degraded"


def test_a_model_that_slows_down_is_seen_to_do_so() -> None:
    """What is usual does not follow at once."""
    pace = _paced((PREAMBLE, 1.0))
    for _ in range(20):
        pace.note(PREAMBLE, 9.0)
    assert pace.usual() == {PREAMBLE: 1.0}
    for _ in range(400):
        pace.note(PREAMBLE, 9.0)
    assert pace.usual() == {PREAMBLE: 9.0}


def test_what_is_kept_is_bounded() -> None:
    pace = Pace()
    for number in range(2000):
        pace.note(f"kind {number}", 1.0)
        pace.note("one", 1.0)
    assert len(pace._samples) == 256
    assert max(map(len, pace._samples.values())) == 64


def test_views_of_others_stay_and_the_model_has_one(health: Any) -> None:
    report = Report(health, _paced((PREAMBLE, 1.5)))

    class Own(health.NLPHealthView):  # type: ignore[misc]  # of a module that may be a stand-in
        pass

    seen: list[Any] = []
    container = Container()
    container[health.HealthReporter] = SimpleNamespace(register_view=seen.append)
    follow_pace(container, Pace(), ScriptedBackend())
    own = Own()
    container[health.HealthReporter].register_view(own)
    assert seen == [own]
    told = report.views["parlant_local"].render({})
    assert (told.status.value, told.body["reasons"]) == ("healthy", [])
    assert told.body["usual_seconds"] == {PREAMBLE: 1.5}


def test_answers_are_noted_by_their_kind_and_only_those_that_were_computed() -> None:
    recorder = CallRecorder()

    def call(kind: str, *, cached: bool = False, error: Exception | None = None) -> None:
        with recorder.record(kind, None, "m") as told:
            told.begun()
            told.take(Usage(1, 1), Timings(from_cache=cached))
            if error is not None:
                raise error

    for _ in range(5):
        call("A")
        call("B", cached=True)
        with pytest.raises(OutputError):
            call("C", error=OutputError("no"))
        call("streaming")
    assert set(recorder.pace.usual()) == {"A", "StreamingText"}
