"""Backends over stand-ins that listen on real loopback sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parlant_local.backends.ollama import OllamaBackend
from parlant_local.backends.openai import OpenAIBackend
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI
from tests.support.eventually import PATIENCE

IMPATIENCE = 0.4
"""Seconds of silence where nothing comes any more; where something is expected it has all the time it needs."""


async def hurry(*backends: OllamaBackend | OpenAIBackend) -> None:
    """From now on they are impatient."""
    for backend in backends:
        await backend.close()  # they connect anew
        backend._connection._timeout = IMPATIENCE


@pytest.fixture(autouse=True)
def _no_ambient_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def openai_fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def ollama_fake() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server


@pytest.fixture
async def openai_backend(openai_fake: FakeOpenAI) -> AsyncIterator[OpenAIBackend]:
    async with OpenAIBackend("m", base_url=openai_fake.base_url, name="fake", timeout=PATIENCE) as backend:
        yield backend


@pytest.fixture
async def ollama_backend(ollama_fake: FakeOllama) -> AsyncIterator[OllamaBackend]:
    async with OllamaBackend("m", host=ollama_fake.url, timeout=PATIENCE) as backend:
        yield backend
