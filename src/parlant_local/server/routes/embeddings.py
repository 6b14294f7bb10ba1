"""``POST /v1/embeddings`` and ``POST /v1/rerank``."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.messages import Usage
from parlant_local.server.context import context_of
from parlant_local.server.options import check_texts
from parlant_local.server.problems import Refused
from parlant_local.server.shapes.answers import EmbeddingList, RerankList
from parlant_local.server.shapes.others import EmbeddingRequest, RerankRequest
from parlant_local.server.texts import texts_of

__all__ = ["router"]

router = APIRouter(tags=["vectors"])


@router.post("/v1/embeddings", response_model=EmbeddingList)
async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
    """Vectors of texts, each of length one."""
    context = context_of(request)
    limits = context.settings.limits
    name, backend = await context.models.backend(body.model)
    texts = await texts_of(context, name, body.input, limits.texts, "input")
    check_texts(texts, limits, "input")
    truncate = context.settings.embedding.truncate
    with context.talk(name) as talk:
        found = await context.answered(request, backend.embed(texts, truncate=truncate))
        talk.usage = found.usage
    vectors: Sequence[Sequence[float]] = found.vectors
    if body.dimensions is not None:
        if body.dimensions > found.dimensions:
            raise Refused(
                400, f"{name} has {found.dimensions} dimensions.", code="too_many_dimensions", param="dimensions"
            )
        vectors = [_shortened(vector, body.dimensions) for vector in vectors]
    encode = _base64 if body.encoding_format == "base64" else list
    tokens = found.usage.prompt_tokens
    return JSONResponse({
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(vectors)
        ],
        "model": name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })  # fmt: skip


@router.post("/v1/rerank", response_model=RerankList)
@router.post("/rerank", response_model=RerankList, include_in_schema=False)
async def rerank(body: RerankRequest, request: Request) -> Response:
    """Documents by relevance to a query, the most relevant first."""
    context = context_of(request)
    limits = context.settings.limits
    documents = [item if isinstance(item, str) else item.text for item in body.documents]
    if len(documents) > limits.texts:
        raise Refused(
            400, f"There are {len(documents)} documents; {limits.texts} are allowed (limits.texts).",
            code="too_many_inputs", param="documents",
        )  # fmt: skip
    check_texts([body.query, *documents], limits, "documents")
    name, backend = await context.models.backend(body.model)
    with context.talk(name) as talk:
        found = await context.answered(request, backend.rerank(body.query, documents))
        talk.usage = Usage(prompt_tokens=found.usage.prompt_tokens)
    order = sorted(range(len(documents)), key=lambda index: -found.scores[index])
    results = [
        {
            "index": index,
            "relevance_score": found.scores[index],
            **({"document": {"text": documents[index]}} if body.return_documents else {}),
        }
        for index in order[: body.top_n]
    ]
    tokens = found.usage.prompt_tokens
    return JSONResponse({
        "model": name,
        "object": "list",
        "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })  # fmt: skip


def _shortened(vector: Sequence[float], dimensions: int) -> list[float]:
    cut = list(vector[:dimensions])
    length = math.sqrt(sum(value * value for value in cut))
    return [value / length for value in cut] if length else cut


def _base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI's clients read them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
