"""Backends that delegate to another one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Generic, TypeVar, Unpack

from parlant_local.backends.base import Backend, ChatOptions, ChatStream, EmbedReply, ModelInfo, RerankReply, Text
from parlant_local.messages import ChatReply, MessageLike

__all__ = ["BorrowingBackend", "WrapperBackend"]

B = TypeVar("B", bound=Backend)


class BorrowingBackend(Backend, Generic[B]):
    """Delegates every call to a backend that is borrowed for its duration. Closing it closes nothing."""

    @abstractmethod
    def borrowed(self) -> AbstractAsyncContextManager[B]:
        """The backend, available while the context is open."""

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        async with self.borrowed() as backend:
            return await backend.chat(messages, **options)

    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        async with self.borrowed() as backend, aclosing(backend.chat_stream(messages, **options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:
        async with self.borrowed() as backend:
            return await backend.complete(prompt, **options)

    async def complete_stream(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatStream:
        async with self.borrowed() as backend, aclosing(backend.complete_stream(prompt, **options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:
        async with self.borrowed() as backend:
            return await backend.embed(texts, truncate=truncate)

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        async with self.borrowed() as backend:
            return await backend.rerank(query, documents)

    async def tokenize(self, text: str) -> list[int]:
        async with self.borrowed() as backend:
            return await backend.tokenize(text)

    async def count_tokens(self, text: str) -> int:
        async with self.borrowed() as backend:
            return await backend.count_tokens(text)

    async def load(self) -> None:
        async with self.borrowed() as backend:
            await backend.load()

    def close_now(self) -> None:
        """Nothing, like :meth:`close`: the backend belongs to its lender."""

    def release(self) -> None:
        """Nothing, like :meth:`close`."""


class WrapperBackend(BorrowingBackend[B]):
    """Delegates every call to ``wrapped``; a subclass overrides what it needs to."""

    def __init__(self, wrapped: B) -> None:
        self.wrapped = wrapped

    def borrowed(self) -> AbstractAsyncContextManager[B]:
        return nullcontext(self.wrapped)

    def model_info(self) -> ModelInfo:
        return self.wrapped.model_info()

    async def close(self) -> None:
        await self.wrapped.close()

    def close_now(self) -> None:
        self.wrapped.close_now()

    def release(self) -> None:
        self.wrapped.release()
