"""``POST /v1/chat/completions``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from parlant_local.server.bodies import BodyRoute
from parlant_local.server.calls import ChatCall
from parlant_local.server.context import Context, context_of
from parlant_local.server.history import current_request
from parlant_local.server.progress import progress_of, with_progress
from parlant_local.server.replies import ChatAnswer, logged_values
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
    call = await ChatCall.of(context, body, request)
    answer = ChatAnswer(call.name, switched=call.switched, legacy=bool(body.functions))
    if body.stream:
        with_usage = body.stream_options is not None and body.stream_options.include_usage is True
        pieces = _events(call, answer, with_usage=with_usage)
        if body.return_progress:
            pieces = with_progress(pieces, lambda: _progress(context, call.name), lambda now: sse(answer.progress(now)))
        return await context.streamed(request, pieces)
    reply = await call.whole(request, answer.id)
    return await json_answer(lambda: answer.whole(reply), logged_values(reply.choices))


async def _events(call: ChatCall, answer: ChatAnswer, *, with_usage: bool) -> AsyncGenerator[bytes, None]:
    async with aclosing(call.chunks(answer.id)) as chunks:
        async for chunk in chunks:
            yield sse(answer.chunk(chunk, with_usage=with_usage))
    if with_usage:
        yield sse(answer.usage(call.usage))
    yield DONE


def _progress(context: Context, name: str) -> Progress | None:
    if (record := current_request.get()) is None:
        return None
    return context.models.waits_for(name) or progress_of(record.watch.standing())
