"""Fixed seeds: the same examination of the same model asks for the same draws, in whatever order its calls arrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Unpack

from parlant_local.backends.base import Backend, ChatOptions, ChatStream
from parlant_local.backends.wrapper import WrapperBackend
from parlant_local.messages import ChatReply, MessageLike

__all__ = ["SeededBackend"]


class SeededBackend(WrapperBackend[Backend]):
    """Gives each call without a seed one that follows from its prompt; a prompt that is asked again gets another."""

    def __init__(self, wrapped: Backend, seed: int) -> None:
        super().__init__(wrapped)
        self._seed = seed
        self._asked: Counter[bytes] = Counter()

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        messages, options["seed"] = self._seeded(messages, options)
        return await super().chat(messages, **options)

    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        messages, options["seed"] = self._seeded(messages, options)
        async for chunk in super().chat_stream(messages, **options):
            yield chunk

    def _seeded(
        self, messages: str | MessageLike | Iterable[MessageLike], options: ChatOptions
    ) -> tuple[Iterable[MessageLike], int]:
        told = self.as_messages(messages)
        if (given := options.get("seed")) is not None:
            return told, given
        prompt = _digest("\0".join(str(message.content) for message in told))
        self._asked[prompt] += 1
        return told, int.from_bytes(_digest(f"{prompt.hex()} {self._seed} {self._asked[prompt]}")[:7], "big")


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
