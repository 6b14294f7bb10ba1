"""Loopback stand-ins, and an environment that reaches nothing else."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_FAKES = Path(__file__).parent / "fakes"
if "catalog_fakes" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "catalog_fakes", _FAKES / "__init__.py", submodule_search_locations=[str(_FAKES)]
    )
    assert _spec is not None
    assert _spec.loader is not None
    _package = importlib.util.module_from_spec(_spec)
    sys.modules["catalog_fakes"] = _package
    _spec.loader.exec_module(_package)

from catalog_fakes.hub import FakeHub  # noqa: E402

from parlant_local.catalog import LocalModelManager  # noqa: E402
from parlant_local.observability import NullLogger  # noqa: E402
from parlant_local.settings import Settings, load_settings  # noqa: E402


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's settings, tokens, caches or proxies."""
    for name in (
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_HUB_CACHE",
        "MODEL_ENDPOINT",
        "OLLAMA_MODELS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("PARLANT_LOCAL_HOME", str(tmp_path / "parlant-local"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def settings() -> Settings:
    """Impatient, so that faults don't cost minutes."""
    return load_settings(overrides={"downloads.attempts": 3, "downloads.stall_seconds": 1.0})


@pytest.fixture
def manager(tmp_path: Path, settings: Settings) -> LocalModelManager:
    return LocalModelManager(NullLogger(), tmp_path / "models", settings)
