"""``POST /v1/moderations``: texts judged by a model of the owner's."""

from __future__ import annotations

import secrets

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.backends.base import Backend
from parlant_local.errors import RequestRefusedError
from parlant_local.messages.contents import content_of
from parlant_local.moderation import MODERATION_TAGS, judge_of
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.options import check_texts
from parlant_local.server.shapes.answers import ModerationItem, ModerationList
from parlant_local.server.shapes.chat import Part
from parlant_local.server.shapes.others import ModerationRequest
from parlant_local.shipped import SHIPPED_NAME

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["moderation"])
# Finer categories of OpenAI's. What nobody judges is null, so that no client takes silence for innocence.
_SUBCATEGORIES = (
    "harassment/threatening", "hate/threatening", "illicit/violent", "self-harm/intent", "self-harm/instructions",
    "sexual/minors", "violence/graphic",
)  # fmt: skip


@router.post("/v1/moderations", response_model=ModerationList)
async def moderations(body: ModerationRequest, request: Request) -> Response:
    """Judge texts by seven categories, each with a probability."""
    context = context_of(request, body)
    texts = _texts(body.input)
    if not texts or len(texts) > context.settings.limits.choices:
        raise RequestRefusedError(
            400,
            f"Give 1 to {context.settings.limits.choices} texts (limits.choices).",
            code="too_many_inputs",
            param="input",
        )
    check_texts(texts, context.settings.limits, "input")
    name, backend = await _judge(context, body.model)
    results = [await context.answered(request, _judged(context, backend, text)) for text in texts]
    told: ModerationList = {"id": f"modr-{secrets.token_hex(12)}", "model": name, "results": results}
    if backend.model_info().name == SHIPPED_NAME:
        context.logger.warning(_NO_JUDGEMENT)
        told["warnings"] = [_NO_JUDGEMENT]
    return JSONResponse(told)


_NO_JUDGEMENT = (
    "The model that comes with parlant-local has no judgement, so these verdicts mean nothing: set moderation.model, or name a "
    "model."
)


def _texts(given: str | list[str | Part]) -> list[str]:
    """Each text by itself; parts make one."""
    if isinstance(given, str):
        return [given]
    texts = [item for item in given if isinstance(item, str)]
    parts = [item.model_dump() for item in given if isinstance(item, Part)]
    if texts and parts:
        raise RequestRefusedError(
            422, "input is a list of texts or of parts, not of both.", code="invalid_value", param="input"
        )
    return [content_of(parts).text or ""] if parts else texts


async def _judge(context: Context, asked: str | None) -> tuple[str, Backend]:
    """The model asked for; of OpenAI's own names (and none) the owner's guard model, else the chat model."""
    if asked and not asked.startswith(("omni-moderation", "text-moderation")):
        return await context.models.backend(asked)
    if (guard := context.settings.moderation.model) is not None:
        return await context.models.backend(guard)
    return await context.models.backend(None)


async def _judged(context: Context, backend: Backend, text: str) -> ModerationItem:
    verdict = await judge_of(backend).judge(text)
    threshold = context.settings.moderation.threshold
    tags: dict[str, float | None] = {tag: verdict.scores[tag] for tag in MODERATION_TAGS}
    scores = tags | {name: verdict.subcategories.get(name) for name in _SUBCATEGORIES}
    return {
        "flagged": verdict.flagged(threshold),
        "categories": {name: None if score is None else score >= threshold for name, score in scores.items()},
        "category_scores": scores,
    }
