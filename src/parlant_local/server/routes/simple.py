"""The simple API: one message in, JSON lines out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from parlant_local.backends.base import Backend, ChatOptions
from parlant_local.backends.buffered import accept_truncated
from parlant_local.errors import RequestRefusedError
from parlant_local.messages import Message
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.counting import check_counts
from parlant_local.server.ignored import ignored_in
from parlant_local.server.options import BINDING, messages_of, refuse_unknown, sampling_options
from parlant_local.server.problems import Problem
from parlant_local.server.replies import usage_json, usage_of
from parlant_local.server.routes.common import stream_or
from parlant_local.server.routes.models import all_cards, cards_of
from parlant_local.server.shapes.answers import SIMPLE_ANSWER, Detailed, Names, SimpleAnswer
from parlant_local.server.shapes.chat import ChatMessage, Sampling
from parlant_local.server.shapes.others import SimpleChatRequest

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["short API"])


@router.post("/api/chat", responses=stream_or("application/x-ndjson", "Lines of `{response, done}`.", SIMPLE_ANSWER))
async def chat(body: SimpleChatRequest, request: Request) -> Response:
    """Answer one message; streamed unless ``stream`` is false."""
    context = context_of(request, body)
    given = [ChatMessage(role="system", content=body.system)] if body.system else []
    messages = messages_of([*given, ChatMessage(role="user", content=body.message)], context.settings.limits)
    refuse_unknown(body, ("format", *BINDING), "`options`, or /v1/chat/completions")
    check_counts(body.options, context.settings.limits)
    try:
        sampling = Sampling.model_validate(body.options or {})
        options = sampling_options(sampling, context.settings.limits)
    except ValidationError as error:
        raise RequestRefusedError(
            422, f"options: {error.errors()[0]['msg']}.", code="bad_value", param="options"
        ) from None
    refuse_unknown(sampling, BINDING, "/v1/chat/completions")
    if (options.pop("n", None) or 1) != 1:
        raise RequestRefusedError(
            400, "Only n=1 is supported here: use /v1/chat/completions.", code="unsupported", param="options"
        )
    beside = [name for name in ("model", "stream", "stream_options") if getattr(sampling, name) is not None]
    context.note_ignored(request, [f"options.{name}" for name in [*ignored_in(sampling), *beside]])
    name, backend = await context.models.backend(body.model)
    if body.stream is False:
        with context.measured(name) as metrics:
            reply = await context.answered(request, accept_truncated(backend.chat(messages, **options)))
            metrics.usage = usage_of(reply)
        answer: SimpleAnswer = {"response": reply.content, "done": True, "model": name}
        return JSONResponse(answer)
    return await context.streamed(
        request,
        _lines(context, backend, name, messages, options),
        media_type="application/x-ndjson",
        comment=b"\n",
        error=_failed,
    )


@router.get("/api/models", response_model=Names)
async def models(request: Request) -> Response:
    """Names of the available models; of those that chat."""
    cards = await asyncio.to_thread(cards_of, context_of(request))
    answer: Names = {"models": [card["id"] for card in cards]}
    return JSONResponse(answer)


@router.get("/api/models/detailed", response_model=Detailed)
async def models_detailed(request: Request) -> Response:
    """The same, with details."""
    answer: Detailed = {"models": await all_cards(context_of(request))}
    return JSONResponse(answer)


async def _lines(
    context: Context, backend: Backend, name: str, messages: tuple[Message, ...], options: ChatOptions
) -> AsyncGenerator[bytes, None]:
    with context.measured(name) as metrics:
        stream: Any = backend.chat_stream(messages, **options)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                metrics.record_chunk()
                if chunk.delta.content:
                    yield _line({"response": chunk.delta.content, "done": False})
                metrics.usage = chunk.usage or metrics.usage
        yield _line({"response": "", "done": True, "model": name, "usage": usage_json(metrics.usage)})


def _failed(problem: Problem) -> bytes:
    return _line({"response": "", "done": True, "error": problem.body["error"]})


def _line(value: SimpleAnswer) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
