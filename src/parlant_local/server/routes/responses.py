"""``/v1/responses``: OpenAI's newer API, and what it keeps."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.errors import RequestRefusedError
from parlant_local.server.auth import keeper_of
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.calls import ChatCall
from parlant_local.server.context import context_of
from parlant_local.server.counting import refuse_excess
from parlant_local.server.doors.input_items import input_items
from parlant_local.server.doors.response_events import GrowingResponse
from parlant_local.server.doors.response_store import KeptResponse
from parlant_local.server.doors.responses import asked_facts, chat_of, items_of, unused_in
from parlant_local.server.replies import logged_values
from parlant_local.server.routes.common import stream_or
from parlant_local.server.shapes.answers.responses import (
    RESPONSE,
    InputItems,
    InputTokens,
    ResponseAnswer,
    ResponseDeleted,
)
from parlant_local.server.shapes.chat import ChatRequest
from parlant_local.server.shapes.responses import InputTokensRequest, ResponsesRequest
from parlant_local.server.streams import sse
from parlant_local.server.writing import json_answer

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["responses"])
Keep = Callable[[ResponseAnswer], None]


@router.post(
    "/v1/responses",
    responses=stream_or("text/event-stream", "The response, complete or as events.", RESPONSE),
)
async def responses(body: ResponsesRequest, request: Request) -> Response:
    """Answer a conversation, in the form of OpenAI's Responses API."""
    context = context_of(request, body)
    context.note_ignored(request, unused_in(body))
    asked, before = _asked(body, request)
    facts = asked_facts(body)
    call = await ChatCall.of(context, asked, request)
    store, owner = context.responses, keeper_of(request)
    stored = body.store is not False and store.keeps
    answer = GrowingResponse(call.name, facts, stored=stored, switched=call.switched)

    def keep(written: ResponseAnswer) -> None:
        if stored:
            store.put(owner, dict(written), items_of(body), before)

    if body.stream:
        return await context.streamed(
            request,
            _events(call, answer, keep),
            error=lambda problem: b"".join(sse(event, event["type"]) for event in answer.failed(problem)),
        )
    reply = await call.whole(request, answer.id)
    whole = answer.whole(reply)
    keep(whole)
    return await json_answer(lambda: whole, logged_values(reply.choices))


@router.post("/v1/responses/input_tokens", response_model=InputTokens)
async def input_tokens(body: InputTokensRequest, request: Request) -> Response:
    """The tokens of a question's prompt; an estimate on the high side for models of other servers."""
    context = context_of(request, body)
    call = await ChatCall.of(context, _asked(body, request)[0], request)
    answer: InputTokens = {"object": "response.input_tokens", "input_tokens": await call.count_tokens()}
    return JSONResponse(answer)


@router.get("/v1/responses/{response_id}", response_model=ResponseAnswer)
async def response(response_id: str, request: Request) -> Response:
    """A response that is kept."""
    if request.query_params.get("stream") == "true":
        raise RequestRefusedError(
            400, "A kept response is not streamed again: omit stream.", code="unsupported", param="stream"
        )
    return JSONResponse(_kept(response_id, request).body)


@router.delete("/v1/responses/{response_id}", response_model=ResponseDeleted)
async def delete_response(response_id: str, request: Request) -> Response:
    """Forget a response."""
    context_of(request).responses.delete(keeper_of(request), response_id)
    answer: ResponseDeleted = {"id": response_id, "object": "response", "deleted": True}
    return JSONResponse(answer)


@router.get("/v1/responses/{response_id}/input_items", response_model=InputItems)
async def response_input(
    response_id: str, request: Request, after: str | None = None, limit: int = 20, order: str = "desc"
) -> Response:
    """What a response that is kept was asked, without the conversation before."""
    return JSONResponse(input_items(_kept(response_id, request), after=after, limit=limit, order=order))


@router.post("/v1/responses/{response_id}/cancel", response_model=ResponseAnswer)
async def cancel_response(response_id: str, request: Request) -> Response:
    """Always refused: no response runs in the background."""
    _kept(response_id, request)
    raise RequestRefusedError(
        400,
        "Only responses in the background can be cancelled, and there are none here: closing the connection ends an answer.",
        code="unsupported",
        param="response_id",
    )


async def _events(call: ChatCall, answer: GrowingResponse, keep: Keep) -> AsyncGenerator[bytes, None]:
    async with aclosing(call.chunks(answer.id)) as chunks:
        async for chunk in chunks:
            if not answer.begun:
                for event in answer.begin():
                    yield sse(event, event["type"])
            for event in answer.chunk(chunk):
                yield sse(event, event["type"])
    if not answer.begun:
        for event in answer.begin():
            yield sse(event, event["type"])
    ending = list(answer.end(call.usage))
    keep(answer.written())  # before the client is told, which may go on at once
    for event in ending:
        yield sse(event, event["type"])


def _asked(body: ResponsesRequest | InputTokensRequest, request: Request) -> tuple[ChatRequest, KeptResponse | None]:
    context = context_of(request)
    before = None
    if body.previous_response_id is not None:
        before = context.responses.get(keeper_of(request), body.previous_response_id, "previous_response_id")
    asked = chat_of(body, before.conversation if before is not None else ())
    refuse_excess(len(asked.messages), "input", "messages", "messages", "too_many_messages", context.settings.limits)
    return asked, before


def _kept(identity: str, request: Request) -> KeptResponse:
    return context_of(request).responses.get(keeper_of(request), identity, "response_id")
