"""Text to tokens and back, and the exact prompt of a conversation."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import context_of
from parlant_local.server.options import check_texts, messages_of
from parlant_local.server.shapes.answers import Detokenized, Rendered, Tokenized
from parlant_local.server.shapes.others import ApplyTemplateRequest, DetokenizeRequest, TokenizeRequest
from parlant_local.server.writing import json_answer

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["tokens"])


@router.post("/tokenize", response_model=Tokenized)
async def tokenize(body: TokenizeRequest, request: Request) -> Response:
    """Token ids of a text; control tokens in it are plain text unless ``parse_special``."""
    context = context_of(request, body)
    check_texts([body.content], context.settings.limits, "content")
    async with context.models.engine(body.model) as (name, backend):
        tokens = await backend.engine.tokenize(
            body.content, add_special=bool(body.add_special), parse_special=bool(body.parse_special)
        )
        pieces = await backend.engine.pieces(tokens) if body.with_pieces else None

    def answer() -> Tokenized:
        if pieces is None:
            return {"tokens": tokens, "model": name}
        pairs = ({"id": token, "piece": piece} for token, piece in zip(tokens, pieces, strict=True))
        return {"tokens": pairs, "model": name}

    return await json_answer(answer, 2 * len(tokens))


@router.post("/detokenize", response_model=Detokenized)
async def detokenize(body: DetokenizeRequest, request: Request) -> Response:
    """The text of token ids."""
    async with context_of(request, body).models.engine(body.model) as (name, backend):
        text = await backend.engine.detokenize(body.tokens)
    answer: Detokenized = {"content": text, "model": name}
    return JSONResponse(answer)


@router.post("/apply-template", response_model=Rendered)
async def apply_template(body: ApplyTemplateRequest, request: Request) -> Response:
    """The exact prompt of a chat with these messages."""
    context = context_of(request, body)
    messages = messages_of(body.messages, context.settings.limits)
    tools = [tool.model_dump(exclude_none=True) for tool in body.tools or ()]
    opened = body.add_generation_prompt is not False
    async with context.models.engine(body.model) as (name, backend):
        continued = bool(body.continue_final_message)
        rendered = await backend.render(messages, tools, add_generation_prompt=opened, continue_final=continued)

    def answer() -> Rendered:
        return {"prompt": rendered.prompt, "tokens": rendered.tokens, "model": name}

    return await json_answer(answer, len(rendered.tokens))
