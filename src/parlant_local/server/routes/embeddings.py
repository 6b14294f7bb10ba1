"""``POST /v1/embeddings`` and ``POST /v1/rerank``."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from parlant_local.errors import RequestRefusedError
from parlant_local.messages import Usage
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import context_of
from parlant_local.server.options import check_texts
from parlant_local.server.shapes.answers import EmbeddingList, RerankItem, RerankList
from parlant_local.server.shapes.others import EmbeddingRequest, RerankRequest
from parlant_local.server.texts import check_inputs
from parlant_local.server.writing import json_answer

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["vectors"])


@router.post("/v1/embeddings", response_model=EmbeddingList)
async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
    """Vectors of texts, each of length one."""
    context = context_of(request, body)
    limits = context.settings.limits
    name, backend = await context.models.backend(body.model)
    texts = body.input
    check_inputs(texts, backend, limits, "input", "texts")
    if body.truncate_prompt_tokens not in (None, -1):
        raise RequestRefusedError(
            400, "truncate_prompt_tokens supports only -1, the model's maximum.", code="unsupported",
            param="truncate_prompt_tokens",
        )  # fmt: skip
    truncate = context.settings.embedding.truncate if body.truncate is None else body.truncate
    truncate = truncate or body.truncate_prompt_tokens == -1
    with context.measured(name) as metrics:
        found = await context.answered(request, backend.embed(texts, truncate=truncate))
        metrics.usage = found.usage
    dimensions = body.dimensions or found.dimensions
    if dimensions > found.dimensions:
        raise RequestRefusedError(
            400, f"{name} has {found.dimensions} dimensions.", code="too_many_dimensions", param="dimensions"
        )

    def encoded(vector: Sequence[float]) -> str | Sequence[float]:
        if dimensions < found.dimensions:
            vector = _shortened(vector, dimensions)
        return _base64(vector) if body.encoding_format == "base64" else vector

    def answer() -> EmbeddingList:
        tokens = found.usage.prompt_tokens
        result: EmbeddingList = {
            "object": "list",
            "data": (
                {"object": "embedding", "index": index, "embedding": encoded(vector)}
                for index, vector in enumerate(found.vectors)
            ),
            "model": name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        if found.truncated:
            result["truncated"] = list(found.truncated)
        return result

    return await json_answer(answer, len(texts) * dimensions)


@router.post("/v1/rerank", response_model=RerankList)
@router.post("/rerank", response_model=RerankList, include_in_schema=False)
async def rerank(body: RerankRequest, request: Request) -> Response:
    """Documents by relevance to a query, the most relevant first."""
    context = context_of(request, body)
    limits = context.settings.limits
    documents = [item if isinstance(item, str) else item.text for item in body.documents]
    check_texts([body.query, *documents], limits, "documents")
    name, backend = await context.models.backend(body.model)
    with context.measured(name) as metrics:
        found = await context.answered(request, backend.rerank(body.query, documents))
        metrics.usage = Usage(prompt_tokens=found.usage.prompt_tokens)

    def ranked(index: int) -> RerankItem:
        result: RerankItem = {"index": index, "relevance_score": found.scores[index]}
        if body.return_documents:
            result["document"] = {"text": documents[index]}
        return result

    def answer() -> RerankList:
        tokens = found.usage.prompt_tokens
        order = sorted(range(len(documents)), key=lambda index: -found.scores[index])
        return {
            "model": name,
            "object": "list",
            "results": [ranked(index) for index in order[: body.top_n]],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    return await json_answer(answer, 3 * len(documents))


def _shortened(vector: Sequence[float], dimensions: int) -> list[float]:
    cut = list(vector[:dimensions])
    length = math.sqrt(sum(value * value for value in cut))
    return [value / length for value in cut] if length else cut


def _base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI's clients read them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
