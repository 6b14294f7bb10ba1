"""Loopback stand-ins, and an environment that reaches nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings, load_settings
from tests.fakes.hub import FakeHub


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
