"""Text to tokens and back, and the exact prompt of a conversation."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.server.context import context_of
from parlant_local.server.options import check_texts, messages_of
from parlant_local.server.shapes.answers import Detokenized, Rendered, Tokenized
from parlant_local.server.shapes.others import ApplyTemplateRequest, DetokenizeRequest, TokenizeRequest

__all__ = ["router"]

router = APIRouter(tags=["tokens"])


@router.post("/tokenize", response_model=Tokenized)
async def tokenize(body: TokenizeRequest, request: Request) -> Response:
    """Token ids of a text; control tokens in it are plain text unless ``parse_special``."""
    context = context_of(request)
    check_texts([body.content], context.settings.limits, "content")
    async with context.models.engine(body.model) as (name, backend):
        tokens = await backend.engine.tokenize(
            body.content, add_bos=bool(body.add_special), parse_special=bool(body.parse_special)
        )
        found: list[Any] = list(tokens)
        if body.with_pieces:
            found = [{"id": token, "piece": await backend.engine.detokenize([token], special=True)} for token in tokens]
    return JSONResponse({"tokens": found, "model": name})


@router.post("/detokenize", response_model=Detokenized)
async def detokenize(body: DetokenizeRequest, request: Request) -> Response:
    """The text of token ids."""
    async with context_of(request).models.engine(body.model) as (name, backend):
        return JSONResponse({"content": await backend.engine.detokenize(body.tokens), "model": name})


@router.post("/apply-template", response_model=Rendered)
async def apply_template(body: ApplyTemplateRequest, request: Request) -> Response:
    """The exact prompt that a chat with these messages would send."""
    context = context_of(request)
    messages = messages_of(body.messages, context.settings.limits)
    tools = [tool.model_dump(exclude_none=True) for tool in body.tools or ()]
    opened = body.add_generation_prompt is not False
    async with context.models.engine(body.model) as (name, backend):
        rendered = await backend.render(messages, tools, add_generation_prompt=opened)
    return JSONResponse({"prompt": rendered.prompt, "tokens": list(rendered.tokens), "model": name})
