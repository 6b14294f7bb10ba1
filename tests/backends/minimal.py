"""What somebody else's package may look like: a whole backend in a few lines."""

from __future__ import annotations

from collections import deque
from typing import Any

from parlant_local.backends import Backend, ModelInfo
from parlant_local.messages import ChatReply, Usage, as_messages

__all__ = ["ListBackend"]


class ListBackend(Backend):
    """Answers from a list."""

    def __init__(self, *answers: str) -> None:
        self.answers = deque(answers)
        self.asked: list[str] = []

    async def chat(self, messages: Any, **options: Any) -> ChatReply:
        self.asked.append(as_messages(messages)[-1].content or "")
        answer = self.answers.popleft()
        return ChatReply(answer, usage=Usage(len(self.asked[-1]), len(answer)), model="house/list")

    def model_info(self) -> ModelInfo:
        return ModelInfo("house/list", n_ctx=8192, capabilities=frozenset({"chat", "schema", "streaming"}))
