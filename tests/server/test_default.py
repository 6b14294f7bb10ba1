"""What answers a request that names no model: by the rule that services and the command line have, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parlant_local import LocalModelManager, Settings
from parlant_local.observability import NullLogger
from parlant_local.server.models import Models
from parlant_local.server.naming import Directory
from parlant_local.switching import choose_model
from tests.fakes.ollama import FakeOllama
from tests.support.gguf_models import llama, qwen2

from .conftest import TINY


@pytest.fixture
async def daemon() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        server.models = {"chatty:7b": 1}
        yield server


def made(tmp_path: Path, **more: Any) -> tuple[Settings, LocalModelManager]:
    settings = Settings.load(None, **({"home": tmp_path, "ollama.host": "127.0.0.1:9"} | more))
    return settings, LocalModelManager(NullLogger(), settings=settings)


async def test_a_daemon_comes_before_the_model_that_comes_along(tmp_path: Path, daemon: FakeOllama) -> None:
    settings, manager = made(tmp_path, **{"ollama.host": daemon.url})
    models = Models(settings, manager, NullLogger())
    name, backend = await models.backend(None)
    chosen = await asyncio.to_thread(choose_model, settings, manager)  # its daemon answers on this loop
    assert name == "ollama/chatty:7b" == chosen.model
    assert (await backend.chat("Hi")).model == "ollama/chatty:7b"
    assert "ollama/chatty:7b" in models.directory.external_models()
    await models.close()


async def test_it_is_looked_for_again_when_other_models_are_here_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, manager = made(tmp_path)
    loaded: list[str] = []
    directory = Directory(settings, manager, lambda: loaded)
    assert directory.default() == TINY
    small = await manager.register_model(llama(tmp_path / "small.gguf", width=32))
    assert directory.default() == small.id
    # Once it is loaded nothing else fits: it is no smaller for that.
    loaded.append(small.id)
    monkeypatch.setattr("parlant_local.engine.sizing.available_memory", lambda: 1)
    assert directory.default() == small.id
    larger = await manager.register_model(qwen2(tmp_path / "larger.gguf", width=64))
    assert directory.default() == small.id
    assert directory.choice().reason.endswith("MiB are available.)") or larger.id in directory.choice().reason
    loaded.clear()
    await manager.delete_model(larger.id)
    assert directory.default() == TINY
