"""Why a server is degraded: each reason has a name, and the names are documented."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parlant_local import telemetry
from parlant_local.engine import EngineStats
from parlant_local.server import shortcomings as module
from parlant_local.server.shortcomings import STATES, Shortcomings
from parlant_local.settings import HealthSettings

MODEL = "local/m"
DOCS = Path(__file__).parents[2] / "docs" / "server.md"


def _switched(reason: str, *, error: str | None = None, ago: float = 1.0) -> dict[str, Any]:
    return {"target": "local/other", "reason": reason, "error": error, "time": time.time() - ago}


def _backend(*, layers: int = -1, gpu_bytes: int = 0) -> Any:
    settings = SimpleNamespace(n_gpu_layers=layers, library="auto")
    return SimpleNamespace(engine=SimpleNamespace(effective_settings=settings, loaded=True, gpu_bytes=gpu_bytes))


def _found(
    *,
    breakers: dict[str, str] | None = None,
    switches: list[dict[str, Any]] | None = None,
    backend: Any = None,
    evictions: int = 0,
    spent_up: str | None = None,
    stats: EngineStats | None = None,
    cards: tuple[str, ...] = (),
) -> list[str]:
    pool = SimpleNamespace(
        loaded=lambda: {} if backend is None else {MODEL: backend}, evictions=lambda _seconds: evictions
    )
    models: Any = SimpleNamespace(
        breakers=lambda: breakers or {},
        recent_switches=lambda: switches or [],
        pool=pool,
        label=str,
        spent_up=lambda: spent_up,
    )
    figures = {} if stats is None else {MODEL: stats}
    return [str(each) for each in Shortcomings(models, lambda: figures, lambda: cards, HealthSettings()).now()]


def test_all_is_well() -> None:
    assert _found(breakers={"a/m": "closed"}, stats=EngineStats(waiting=15, engine_failures=4), evictions=9) == []


def test_breakers_and_fallbacks() -> None:
    assert _found(breakers={"a/m": "half_open"}) == ["breaker-open: The circuit breaker of a/m is half-open."]
    told = [
        _switched("a/m: BackendError"),
        _switched("a/m: TargetDownError"),
        _switched("a/m: BackendError", error="BackendError"),
        _switched("b/m: BackendError", ago=301),
        _switched("c/m: ContextOverflowError"),  # what a larger model is configured for
    ]
    assert _found(switches=told) == ["fallback-in-use: local/other answers in the place of a/m."]


def test_engines_queues_and_memory() -> None:
    assert _found(stats=EngineStats(recent_failures=1))[0].startswith("engine-recovered: The engine of local/m ")
    assert _found(stats=EngineStats(waiting=16)) == ["queue-long: 16 requests wait for local/m (health.waiting)."]
    assert "engine.memory_mb" in _found(evictions=10)[0]
    assert "switcher.budget.daily_tokens" in _found(spent_up="daily_tokens")[0]


@pytest.mark.parametrize(
    ("offloads", "usable", "backend", "cards", "why"),
    [
        (False, (), _backend(), ("Card X",), "this llama.cpp can't use Card X"),
        (False, (), _backend(), (), None),
        (True, ("gpu",), _backend(), (), "no room on a GPU"),
        (True, ("gpu",), _backend(gpu_bytes=1), ("Card X",), None),
        (True, (), _backend(), ("Card X",), None),
        (False, (), _backend(layers=0), ("Card X",), None),  # as the owner wants it
    ],
)
def test_a_model_on_the_processor_beside_a_card(
    monkeypatch: pytest.MonkeyPatch, offloads: bool, usable: tuple[str, ...], backend: Any, cards: Any, why: str | None
) -> None:
    library = SimpleNamespace(llama_supports_gpu_offload=lambda: offloads)
    monkeypatch.setattr(module, "library", lambda _flavour: library)
    monkeypatch.setattr(module, "usable_gpus", lambda _settings: usable)
    found = _found(backend=backend, cards=cards)
    assert found == [] if why is None else why in found[0]


def test_telemetry_that_does_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "unsent", lambda: ["traces"])
    assert _found() == ["telemetry-unsent: OpenTelemetry's traces did not arrive when they were sent last."]


def test_every_name_is_documented() -> None:
    rows = [line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("| `")]
    told = {line.split("`")[1] for line in rows}
    assert set(STATES) <= told
