"""``POST /v1/moderations``: moderation by a configured model."""

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
# OpenAI's subcategories. Those that were not judged are null, so that no client reads them as "not flagged".
_SUBCATEGORIES = (
    "harassment/threatening", "hate/threatening", "illicit/violent", "self-harm/intent", "self-harm/instructions",
    "sexual/minors", "violence/graphic",
)  # fmt: skip


@router.post("/v1/moderations", response_model=ModerationList)
async def moderations(body: ModerationRequest, request: Request) -> Response:
    """Moderate texts by seven categories, each with a probability."""
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
    name, backend = await _moderation_backend(context, body.model)
    results = [await context.answered(request, _moderated(context, backend, text)) for text in texts]
    answer: ModerationList = {"id": f"modr-{secrets.token_hex(12)}", "model": name, "results": results}
    if backend.model_info().name == SHIPPED_NAME:
        context.logger.warning(_UNRELIABLE)
        answer["warnings"] = [_UNRELIABLE]
    return JSONResponse(answer)


_UNRELIABLE = (
    "The model bundled with parlant-local can't moderate, so these results are meaningless: set moderation.model, or name a "
    "model."
)


def _texts(given: str | list[str | Part]) -> list[str]:
    """Each string is one text; parts are joined to one."""
    if isinstance(given, str):
        return [given]
    texts = [item for item in given if isinstance(item, str)]
    parts = [item.model_dump() for item in given if isinstance(item, Part)]
    if texts and parts:
        raise RequestRefusedError(
            422, "input must be a list of strings or of parts, not both.", code="invalid_value", param="input"
        )
    if not parts:
        return texts
    content = content_of(parts)
    if content.media:
        raise RequestRefusedError(
            400,
            f"Parts of type {parts[0].get('type')} can't be judged: moderation reads text only.",
            code="unsupported_part",
            param="input",
        )
    return [content.text or ""]


async def _moderation_backend(context: Context, asked: str | None) -> tuple[str, Backend]:
    """The requested model; for OpenAI's own names (or none) the configured guard model, else the chat model."""
    if asked and not asked.startswith(("omni-moderation", "text-moderation")):
        return await context.models.backend(asked)
    if (guard := context.settings.moderation.model) is not None:
        return await context.models.backend(guard)
    return await context.models.backend(None)


async def _moderated(context: Context, backend: Backend, text: str) -> ModerationItem:
    verdict = await judge_of(backend).judge(text)
    threshold = context.settings.moderation.threshold
    tags: dict[str, float | None] = {tag: verdict.scores[tag] for tag in MODERATION_TAGS}
    scores = tags | {name: verdict.subcategories.get(name) for name in _SUBCATEGORIES}
    return {
        "flagged": verdict.flagged(threshold),
        "categories": {name: None if score is None else score >= threshold for name, score in scores.items()},
        "category_scores": scores,
    }
