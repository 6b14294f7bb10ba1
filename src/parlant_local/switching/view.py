"""A routed backend seen with requirements of one's own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from parlant_local.backends.base import ChatOptions
from parlant_local.messages import ChatChunk, ChatReply, MessageLike
from parlant_local.switching.question import Question, as_given
from parlant_local.switching.targets import Requirements

if TYPE_CHECKING:
    from parlant_local.switching.routed import RoutedBackend

__all__ = ["RoutedView"]

T = TypeVar("T")


class RoutedView:
    """Adds its requirements to every chat; everything else is the routed backend's."""

    def __init__(self, routed: RoutedBackend, requirements: Requirements) -> None:
        self._routed = routed
        self._requirements = requirements

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        return await self.ask(as_given(messages, options))

    def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> AsyncIterator[ChatChunk]:
        return self.ask_stream(as_given(messages, options))

    async def ask(self, question: Question[T]) -> T:
        return await self._routed.ask(question, self._requirements)

    def ask_stream(self, question: Question[Any]) -> AsyncGenerator[ChatChunk, None]:
        return self._routed.ask_stream(question, self._requirements)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._routed, name)
