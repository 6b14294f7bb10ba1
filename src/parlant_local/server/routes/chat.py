"""``POST /v1/chat/completions``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from parlant_local.backends.base import Backend, ChatOptions
from parlant_local.backends.buffered import accept_truncated
from parlant_local.errors import BadRequestError
from parlant_local.messages import Message, ResponseFormat, Usage
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.history import current_request
from parlant_local.server.naming import SWITCHED
from parlant_local.server.options import chat_options, conversation_of, messages_of
from parlant_local.server.pooled import PooledBackend
from parlant_local.server.progress import progress_of, with_progress
from parlant_local.server.replies import ChatAnswer, logged_values, usage_of
from parlant_local.server.routes.common import stream_or
from parlant_local.server.shapes.answers import CHAT_COMPLETION, Progress
from parlant_local.server.shapes.chat import ChatRequest
from parlant_local.server.streams import DONE, sse
from parlant_local.server.writing import json_answer

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["chat"])


@router.post(
    "/v1/chat/completions",
    responses=stream_or("text/event-stream", "The answer, complete or as events.", CHAT_COMPLETION),
)
async def chat_completions(body: ChatRequest, request: Request) -> Response:
    """Answer a conversation."""
    context = context_of(request, body)
    messages = messages_of(conversation_of(body), context.settings.limits)
    options = chat_options(body, context.settings.limits, messages[-1])
    name, backend = await context.models.backend(body.model)
    if options.get("continue_final") and not isinstance(backend, PooledBackend):
        raise BadRequestError("continue_final_message needs a model of this process.", hint="Omit it.")
    answer = ChatAnswer(name, switched=name == SWITCHED, legacy=bool(body.functions))
    _log_content(context, messages)
    _note(options, streamed=bool(body.stream))
    if body.stream:
        with_usage = body.stream_options is not None and body.stream_options.include_usage is True
        pieces = _events(context, backend, name, answer, messages, options, with_usage=with_usage)
        if body.return_progress:
            pieces = with_progress(pieces, lambda: _progress(context, name), lambda now: sse(answer.progress(now)))
        return await context.streamed(request, pieces)
    with context.measured(name) as metrics:
        reply = await context.answered(request, accept_truncated(backend.chat(messages, **options)))
        metrics.usage, metrics.timings, metrics.finish = usage_of(reply), reply.timings, reply.finish_reason
    if context.settings.logging.content:
        context.logger.event("info", "answer", content=reply.content)
    return await json_answer(lambda: answer.whole(reply), logged_values(reply.choices))


async def _events(
    context: Context,
    backend: Backend,
    name: str,
    answer: ChatAnswer,
    messages: tuple[Message, ...],
    options: ChatOptions,
    *,
    with_usage: bool,
) -> AsyncGenerator[bytes, None]:
    with context.measured(name) as metrics:
        stream: Any = backend.chat_stream(messages, **options)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                metrics.record_chunk()
                metrics.timings = chunk.timings or metrics.timings
                metrics.finish = chunk.finish_reason or metrics.finish
                if chunk.usage is not None:
                    metrics.usage = _together(metrics.usage, chunk.usage)
                yield sse(answer.chunk(chunk, with_usage=with_usage))
        if with_usage:
            yield sse(answer.usage(metrics.usage))
        yield DONE


def _progress(context: Context, name: str) -> Progress | None:
    if (record := current_request.get()) is None:
        return None
    return context.models.waits_for(name) or progress_of(record.watch.standing())


def _note(options: ChatOptions, *, streamed: bool) -> None:
    """For the list of requests."""
    if (record := current_request.get()) is not None:
        form = ResponseFormat.coerce(options.get("response_format"))
        record.schema = form.name if form.type == "json_schema" else None
        record.session, record.streamed = options.get("session"), streamed


def _together(first: Usage, other: Usage) -> Usage:
    """The usage of several choices; their prompt counts once."""
    return Usage(
        prompt_tokens=other.prompt_tokens,
        completion_tokens=first.completion_tokens + other.completion_tokens,
        cached_tokens=max(first.cached_tokens, other.cached_tokens),
        reasoning_tokens=first.reasoning_tokens + other.reasoning_tokens,
    )


def _log_content(context: Context, messages: tuple[Message, ...]) -> None:
    if context.settings.logging.content:
        context.logger.event("info", "question", messages=[message.to_openai() for message in messages])
