"""Servers whose model says what a test wants, for what the shipped model never says: thoughts, several calls, halves of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from parlant_local.backends.base import Backend, ChatStream, ModelInfo
from parlant_local.messages import ChatChunk, ChatReply, Message
from tests.support.in_process import InProcess


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


@pytest.fixture
def reciting(here: Callable[..., InProcess], monkeypatch: pytest.MonkeyPatch) -> tuple[InProcess, Reciter]:
    """A server whose every model is one reciter."""
    server, reciter = here(), Reciter()

    async def found(name: str | None) -> tuple[str, Backend]:
        return name or "reciter", reciter

    monkeypatch.setattr(server.context.models, "backend", found)
    return server, reciter
