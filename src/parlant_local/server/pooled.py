"""A model of the pool as a backend: loaded when a call needs it, and kept while the call lasts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Unpack

from parlant_local.backends.base import ChatOptions, EmbedReply, ModelInfo, RerankReply
from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.engine.pool import ModelPool
from parlant_local.messages import ChatChunk, ChatReply, MessageLike

__all__ = ["PooledBackend"]


class PooledBackend:
    """``key`` is the pool's name of the model, ``info`` what is known of it before it is loaded."""

    def __init__(self, pool: ModelPool[LlamaCppBackend], key: str, info: ModelInfo) -> None:
        self._pool, self._key, self._info = pool, key, info

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        async with self._pool.use(self._key) as backend:
            return await backend.chat(messages, **options)

    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> AsyncGenerator[ChatChunk, None]:
        async with (
            self._pool.use(self._key) as backend,
            aclosing(backend.chat_stream(messages, **options)) as chunks,
        ):
            async for chunk in chunks:
                yield chunk

    async def complete(self, prompt: str | Sequence[int], **options: Unpack[ChatOptions]) -> ChatReply:
        async with self._pool.use(self._key) as backend:
            return await backend.complete(prompt, **options)

    async def complete_stream(
        self, prompt: str | Sequence[int], **options: Unpack[ChatOptions]
    ) -> AsyncGenerator[ChatChunk, None]:
        async with (
            self._pool.use(self._key) as backend,
            aclosing(backend.complete_stream(prompt, **options)) as chunks,
        ):
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Sequence[str | Sequence[int]], *, truncate: bool = False) -> EmbedReply:
        async with self._pool.use(self._key) as backend:
            return await backend.embed(texts, truncate=truncate)

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        async with self._pool.use(self._key) as backend:
            return await backend.rerank(query, documents)

    async def tokenize(self, text: str) -> list[int]:
        async with self._pool.use(self._key) as backend:
            return await backend.tokenize(text)

    async def count_tokens(self, text: str) -> int:
        return len(await self.tokenize(text))

    def model_info(self) -> ModelInfo:
        loaded = self._pool.loaded().get(self._key)
        return loaded.model_info() if loaded is not None else self._info

    async def close(self) -> None:
        """Nothing: the model belongs to the pool."""
