"""One chat call, whichever API it was asked by: prepared, answered whole or in chunks, measured and logged."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from parlant_local.backends.base import Backend, ChatOptions
from parlant_local.backends.buffered import accept_truncated
from parlant_local.errors import BadRequestError
from parlant_local.messages import ChatChunk, ChatReply, Message, ResponseFormat, Usage
from parlant_local.server.auth import Keeper, keeper_of
from parlant_local.server.context import AnswerMetrics, Context
from parlant_local.server.history import current_request
from parlant_local.server.naming import SWITCHED
from parlant_local.server.options import belonging, chat_options, conversation_of, messages_of
from parlant_local.server.pooled import PooledBackend
from parlant_local.server.replies import usage_of
from parlant_local.server.shapes.chat import ChatRequest

__all__ = ["ChatCall"]


@dataclass(slots=True)
class ChatCall:
    context: Context
    name: str
    """The listed name of the model."""
    backend: Backend
    messages: tuple[Message, ...]
    options: ChatOptions
    keeper: Keeper = ""
    usage: Usage = Usage()
    """Of all choices, once the chunks have ended."""

    @classmethod
    async def of(cls, context: Context, asked: ChatRequest, request: Request) -> ChatCall:
        """Raises :class:`ParlantLocalError` for what can't be asked; nothing is loaded yet."""
        messages = messages_of(conversation_of(asked), context.settings.limits)
        options = chat_options(asked, context.settings.limits, messages[-1])
        options.update(belonging(request.headers, context.settings.limits))
        name, backend = await context.models.backend(asked.model)
        if options.get("continue_final") and not isinstance(backend, PooledBackend):
            raise BadRequestError("continue_final_message needs a model of this process.", hint="Omit it.")
        call = cls(context, name, backend, messages, options, keeper_of(request))
        if context.settings.logging.content:
            context.logger.event("info", "question", messages=[message.to_openai() for message in messages])
        call._note(streamed=bool(asked.stream))
        return call

    @property
    def switched(self) -> bool:
        """Whether the switcher chooses the model."""
        return self.name == SWITCHED

    async def whole(self, request: Request, identity: str) -> ChatReply:
        with self._measured(identity) as metrics:
            work = accept_truncated(self.backend.chat(self.messages, **self.options))
            reply = await self.context.answered(request, work)
            metrics.usage, metrics.timings, metrics.finish = usage_of(reply), reply.timings, reply.finish_reason
        if self.context.settings.logging.content:
            self.context.logger.event("info", "answer", content=reply.content)
        return reply

    async def chunks(self, identity: str) -> AsyncGenerator[ChatChunk, None]:
        """``identity``: the answer's, by which it is known while it runs."""
        with self._measured(identity) as metrics:
            stream: Any = self.backend.chat_stream(self.messages, **self.options)
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    metrics.record_chunk()
                    metrics.timings = chunk.timings or metrics.timings
                    metrics.finish = chunk.finish_reason or metrics.finish
                    if chunk.usage is not None:
                        metrics.usage = self.usage = _together(metrics.usage, chunk.usage)
                    yield chunk

    async def count_tokens(self) -> int:
        """Of the prompt; an estimate on the high side for models of other servers."""
        if any(message.media for message in self.messages):
            raise BadRequestError(
                "Tokens of pictures and sounds are not known before a model has read them.",
                hint="Count the conversation's text; the usage of an answer has them all.",
            )
        choice = self.options.get("tool_choice")
        tools = () if choice in ("none", {"type": "none"}) else self.options.get("tools") or ()
        if not isinstance(self.backend, PooledBackend):
            written = [str(message.to_openai()) for message in self.messages] + [str(tool) for tool in tools]
            return await self.backend.count_tokens("\n".join(written))
        async with self.backend.borrowed() as backend:
            return len((await backend.render(self.messages, tools)).tokens)

    @contextmanager
    def _measured(self, identity: str) -> Iterator[AnswerMetrics]:
        record = current_request.get()
        known = nullcontext() if record is None else self.context.running.known(self.keeper, identity, record)
        with known, self.context.measured(self.name) as metrics:
            yield metrics

    def _note(self, *, streamed: bool) -> None:
        """For the list of requests."""
        if (record := current_request.get()) is not None:
            form = ResponseFormat.coerce(self.options.get("response_format"))
            record.schema = form.name if form.type == "json_schema" else None
            record.session, record.streamed = self.options.get("session"), streamed


def _together(first: Usage, other: Usage) -> Usage:
    """The usage of several choices; their prompt counts once."""
    return Usage(
        prompt_tokens=other.prompt_tokens,
        completion_tokens=first.completion_tokens + other.completion_tokens,
        cached_tokens=max(first.cached_tokens, other.cached_tokens),
        reasoning_tokens=first.reasoning_tokens + other.reasoning_tokens,
    )
