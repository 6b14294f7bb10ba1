"""``GET /v1/models``: the available models."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.catalog.scores import Score, score_of, scores
from parlant_local.errors import ModelNotFoundError, ParlantLocalError
from parlant_local.images import ImageModel
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.evaluations import told
from parlant_local.server.naming import SWITCHED, Served
from parlant_local.server.shapes.answers import ModelCard, ModelList

__all__ = ["all_cards", "card_of", "cards_of", "evaluated", "router"]

router = APIRouter(route_class=BodyRoute, tags=["models"])


@router.get("/v1/models", response_model=ModelList)
async def list_models(request: Request) -> Response:
    """Every available model: served names, catalogue ids, and configured external models."""
    context = context_of(request)
    answer: ModelList = {"object": "list", "data": await all_cards(context)}
    return JSONResponse(answer)


@router.get("/v1/models/{model:path}", response_model=ModelCard)
async def get_model(model: str, request: Request) -> Response:
    """One model, by any of its names."""
    context = context_of(request)
    for card in await all_cards(context):
        if card["id"] == model:
            return JSONResponse(card)
    if not model:
        raise ModelNotFoundError("The model's name is missing.", hint="GET /v1/models lists the available ones.")
    served = await context.models.find(model)
    return JSONResponse(card_of(context, served, await asyncio.to_thread(evaluated, context)))


def evaluated(context: Context) -> Mapping[str, Score]:
    """What the examination said of models, by digest or id."""
    return scores(context.settings.home, context.logger)


def card_of(context: Context, served: Served, known: Mapping[str, Score]) -> ModelCard:
    record = served.record
    info = context.models.info(served)
    place = context.models.pool.status().get(served.key)
    created = record.files[0].mtime_ns // 1_000_000_000 if record.files and record.files[0].mtime_ns else 0
    capabilities = info.capabilities or ("chat", "complete", "embed")
    card: ModelCard = {
        "id": served.name,
        "object": "model",
        "created": created,
        "owned_by": "parlant-local",
        "root": record.id,
        "base": record.is_base,
        "status": {"value": place.state if place is not None else "unloaded"},
        "capabilities": sorted(capabilities),
        "meta": {
            "name": record.name,
            "family": str(record.type),
            "architecture": record.architecture,
            "n_params": record.parameters,
            "quantization": record.quantization,
            "size": record.size,
            "n_ctx": info.n_ctx,
            "n_ctx_train": record.context_length,
            "n_embd": record.embedding_length,
            "license": record.license,
            "shipped": record.shipped,
            "source": str(record.source),
        },
    }
    # What adapters make of a model was not examined when the model was.
    if not served.adapters and (evaluation := told(score_of(record, known))) is not None:
        card["evaluation"] = evaluation
    return card


def cards_of(context: Context) -> list[ModelCard]:
    """All available models. The default comes first: clients often preselect the first one."""
    models = context.models
    known = evaluated(context)
    cards = [card_of(context, served, known) for served in models.directory.known()]
    cards += [_external_card(name, place) for name, place in models.directory.external_models().items()]
    if models.switches:
        return [_external_card(SWITCHED, SWITCHED), *cards]
    try:
        default = models.directory.default()
        if models.directory.external_id(default) is None:
            default = models.directory.owned(default).name
    except ParlantLocalError:  # no model is installed yet; a request says so
        return cards
    return sorted(cards, key=lambda card: card["id"] != default)


async def all_cards(context: Context) -> list[ModelCard]:
    """Those that chat, and behind them those that make pictures."""
    cards = await asyncio.to_thread(cards_of, context)
    known = {card["id"] for card in cards}
    return cards + [_image_card(model) for model in context.images.models() if model.id not in known]


def _image_card(model: ImageModel) -> ModelCard:
    return {
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": model.id.partition("/")[0] if model.remote else "parlant-local",
        "root": model.id,
        "status": {"value": "elsewhere" if model.remote else "loaded" if model.loaded else "unloaded"},
        "capabilities": ["images", "image_edits"] if model.edits else ["images"],
        "meta": {
            "name": model.name or model.id,
            "architecture": model.architecture,
            "width": model.width,
            "height": model.height,
            "size": model.memory_bytes,
        },
    }


def _external_card(name: str, place: str) -> ModelCard:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "parlant-local" if name == SWITCHED else place.partition("/")[0],
        "root": place,
        "status": {"value": "switched" if name == SWITCHED else "elsewhere"},
        "capabilities": ["chat"],
        "meta": {},
    }
