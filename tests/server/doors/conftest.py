"""Servers whose model says what a test wants, for what the shipped model never says: thoughts, several calls, halves of calls."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from parlant_local.backends.base import Backend, ChatStream, ModelInfo
from parlant_local.messages import ChatChunk, ChatReply, Message
from parlant_local.settings import Settings
from tests.support import gguf_models
from tests.support.in_process import InProcess, serving_here


@dataclass(eq=False)
class Reciter(Backend):
    """Says ``reply``, whole or in ``chunks``, and keeps what it was asked."""

    reply: ChatReply = field(default_factory=ChatReply)
    chunks: Iterable[ChatChunk | Exception] = ()
    asked: list[tuple[tuple[Message, ...], dict[str, Any]]] = field(default_factory=list)

    async def chat(self, messages: Any, **options: Any) -> ChatReply:
        self.asked.append((self.as_messages(messages), options))
        return self.reply

    async def chat_stream(self, messages: Any, **options: Any) -> ChatStream:
        self.asked.append((self.as_messages(messages), options))
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def model_info(self) -> ModelInfo:
        return ModelInfo("reciter", n_ctx=4096)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InProcess, dict[str, Backend]]]:
    """A server of this process whose every model is whoever stands in the dictionary."""
    actors: dict[str, Backend] = {}

    async def found(name: str | None) -> tuple[str, Backend]:
        return name or "reciter", actors["now"]

    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("PARLANT_LOCAL_"):
                patch.delenv(name)
        settings = Settings.load(None, home=tmp_path_factory.mktemp("stage") / "home")
        with serving_here(settings) as server:
            patch.setattr(server.context.models, "backend", found)
            yield server, actors


@pytest.fixture
def reciting(stage: tuple[InProcess, dict[str, Backend]]) -> tuple[InProcess, Reciter]:
    """A server whose every model is one reciter."""
    server, actors = stage
    actors["now"] = reciter = Reciter()
    return server, reciter


@pytest.fixture(scope="package")
def coder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A server whose model has tokens for filling in."""
    folder = tmp_path_factory.mktemp("coder")
    path = gguf_models.llama(folder / "coder.gguf", fills=5, tied=False)
    values: dict[str, Any] = {
        "models": {"coder": {"model": str(path)}},
        "engine.n_ctx": 1024,
        "engine.n_threads": 2,
        "model": "coder",
    }
    with serving_here(Settings.load(None, home=folder / "home", **values)) as running:
        yield running
