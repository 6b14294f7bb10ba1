"""Parlant with a home of its own, settings that touch nothing of the user's, and stand-ins for what can't be reached."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

# Parlant reads its home once, when it is imported.
os.environ.setdefault("PARLANT_HOME", tempfile.mkdtemp(prefix="parlant-home-"))

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import parlant.sdk  # noqa: F401

from parlant_local.settings import Settings
from tests.backends.fakes.ollama_server import FakeOllama
from tests.backends.fakes.openai_server import FakeOpenAI

Configure = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _no_ambient_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "OLLAMA_", "PARLANT_LOCAL_")):
            monkeypatch.delenv(name)


@pytest.fixture
async def vllm() -> AsyncIterator[FakeOpenAI]:
    """An endpoint on this machine."""
    async with FakeOpenAI(name="vllm") as server:
        yield server


@pytest.fixture
async def daemon() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server


@pytest.fixture
def configure(tmp_path: Path, vllm: FakeOpenAI, daemon: FakeOllama) -> Configure:
    """Settings with the endpoint ``vllm`` and an Ollama daemon, both stand-ins on loopback."""

    def make(**more: Any) -> Settings:
        given: dict[str, Any] = {
            "home": tmp_path,
            "endpoints": {"vllm": {"base_url": vllm.base_url, "timeout_seconds": 1.0, "n_ctx": 8192}},
            "ollama.host": daemon.url,
            "engine.stall_seconds": 5.0,
            "moderation.mode": "none",
            "log_level": "error",
        }
        return Settings.load(None, **(given | more))

    return make
