"""``POST /v1/messages``: Anthropic's API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.messages import Usage
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.calls import ChatCall
from parlant_local.server.context import context_of
from parlant_local.server.doors.failures import anthropic_error
from parlant_local.server.doors.messages import PING, MessageAnswer, chat_of, unused_in
from parlant_local.server.history import current_request
from parlant_local.server.routes.common import failures_as, stream_or
from parlant_local.server.shapes.answers.messages import MESSAGE, AnthropicError, TokenCount
from parlant_local.server.shapes.messages import CountRequest, MessagesRequest
from parlant_local.server.streams import sse

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["messages"])
_FAILURES = failures_as(AnthropicError)


@router.post(
    "/v1/messages",
    responses=_FAILURES | stream_or("text/event-stream", "The message, complete or as events.", MESSAGE),
)
async def messages(body: MessagesRequest, request: Request) -> Response:
    """Answer a conversation, in Anthropic's form."""
    context = context_of(request, body)
    context.note_ignored(request, unused_in(body))
    asked = chat_of(body)
    call = await ChatCall.of(context, asked, request)
    answer = MessageAnswer(call.name, body.stop_sequences or (), switched=call.switched)
    if body.stream:
        return await context.streamed(
            request,
            _events(call, answer),
            comment=PING,
            error=lambda problem: sse(anthropic_error(problem), "error"),
        )
    return JSONResponse(answer.whole(await call.whole(request, answer.id)))


@router.post("/v1/messages/count_tokens", response_model=TokenCount, responses=_FAILURES)
async def count_tokens(body: CountRequest, request: Request) -> Response:
    """The tokens of a conversation's prompt; an estimate on the high side for models of other servers."""
    context = context_of(request, body)
    context.note_ignored(request, unused_in(body))
    call = await ChatCall.of(context, chat_of(body), request)
    answer: TokenCount = {"input_tokens": await call.count_tokens()}
    return JSONResponse(answer)


async def _events(call: ChatCall, answer: MessageAnswer) -> AsyncGenerator[bytes, None]:
    begun = False
    async with aclosing(call.chunks(answer.id)) as chunks:
        async for chunk in chunks:
            if not begun:
                begun = True
                yield answer.start(chunk.model, _prompt_usage())
            for piece in answer.chunk(chunk):
                yield piece
    if not begun:
        yield answer.start("", call.usage)
    for piece in answer.end(call.usage):
        yield piece


def _prompt_usage() -> Usage:
    """What the engine knows of the prompt when the answer begins; nothing of a model that another server runs."""
    record = current_request.get()
    standing = record.watch.standing() if record is not None else None
    return Usage() if standing is None else Usage(standing.prompt, 0, standing.reused)
