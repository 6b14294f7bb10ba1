"""Backends that retry by themselves, and a view of one with extra requirements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, TypeVar, Unpack

from parlant_local.backends.base import Backend, ChatOptions, ChatStream
from parlant_local.backends.wrapper import WrapperBackend
from parlant_local.messages import ChatReply, MessageLike
from parlant_local.switching.question import Question, plain_question
from parlant_local.switching.targets import ANYTHING, Requirements

__all__ = ["RequiringBackend", "RetryingBackend"]

T = TypeVar("T")


class RetryingBackend(Backend):
    """Retries by itself, over its own targets."""

    @abstractmethod
    async def ask(self, question: Question[T], base: Requirements = ANYTHING) -> T:
        """The answer as ``question`` reads it, after as many attempts at as many targets as the ladder allows."""

    @abstractmethod
    def ask_stream(self, question: Question[Any], base: Requirements = ANYTHING) -> ChatStream:
        """The chunks of an answer. Until one of them is part of the answer, it may be retried."""

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        return await self.ask(plain_question(messages, options))

    def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        return self.ask_stream(plain_question(messages, options))


class RequiringBackend(RetryingBackend, WrapperBackend[RetryingBackend]):
    """Adds its requirements to every chat; everything else is the wrapped backend's."""

    def __init__(self, wrapped: RetryingBackend, requirements: Requirements) -> None:
        super().__init__(wrapped)
        self._requirements = requirements

    async def ask(self, question: Question[T], base: Requirements = ANYTHING) -> T:
        return await self.wrapped.ask(question, self._requirements.joined(base))

    def ask_stream(self, question: Question[Any], base: Requirements = ANYTHING) -> ChatStream:
        return self.wrapped.ask_stream(question, self._requirements.joined(base))
