"""Models administered over HTTP, after llama-server's router: status, download, load, unload, delete, and their events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.catalog import LocalModel, ModelState
from parlant_local.errors import BadReferenceError, ModelInUseError, RequestRefusedError
from parlant_local.messages import shown
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.routes.models import card_of, evaluated
from parlant_local.server.shapes.answers import AdminList, Done, DownloadAnswer, ModelCard
from parlant_local.server.shapes.others import ModelRequest
from parlant_local.server.streams import PieceStream, sse

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["administration"])


@router.get("/models", response_model=AdminList)
async def list_models(request: Request) -> Response:
    """Every model with its status, including incomplete and broken ones, and recent downloads."""
    context = context_of(request)
    return JSONResponse(await asyncio.to_thread(_admin_list, context))


@router.post("/models", response_model=DownloadAnswer, status_code=202)
async def download(body: ModelRequest, request: Request) -> Response:
    """Start to download a model; ``GET /models/sse`` reports progress."""
    context = context_of(request, body)
    context.models.directory.check_name(body.model)
    started = context.downloads.start(body.model)
    await asyncio.sleep(0)
    answer: DownloadAnswer = {"success": True, "download": started.as_dict()}
    return JSONResponse(answer, 202)


@router.post("/models/cancel", response_model=Done)
async def cancel(body: ModelRequest, request: Request) -> Response:
    """Stop a download; the downloaded part is kept for the next one."""
    if not await context_of(request, body).downloads.cancel(body.model):
        raise RequestRefusedError(
            404, f"No download of {shown(body.model)} is running.", code="no_such_download", param="model"
        )
    return _done()


@router.post("/models/load", response_model=Done)
async def load(body: ModelRequest, request: Request) -> Response:
    """Load a model now; responds when it is ready."""
    context = context_of(request, body)
    served = await context.models.find(body.model)
    context.events.publish("status", model=served.name, status="loading")
    try:
        await context.answered(request, context.models.load(body.model))
    finally:
        context.events.publish("status", model=served.name, status=_status(context, served.key))
    return _done()


@router.post("/models/unload", response_model=Done)
async def unload(body: ModelRequest, request: Request) -> Response:
    """Unload an idle model and free its memory."""
    context = context_of(request, body)
    served = await context.models.find(body.model)
    unloaded = await context.models.unload(body.model)
    context.events.publish("status", model=served.name, status="unloaded")
    return _done({"success": True, "was_loaded": unloaded})


@router.delete("/models", response_model=Done)
async def delete(model: str, request: Request) -> Response:
    """Remove a model from the catalogue and delete files that nothing else uses."""
    context = context_of(request)
    context.models.directory.check_name(model)
    record = await asyncio.to_thread(_listed, context, model) or await _deletable(context, model)
    loaded = {key: place for key, place in context.models.pool.status().items() if key.partition(":")[0] == record.id}
    for key, place in loaded.items():  # with adapters, too
        if place.users:
            raise ModelInUseError(f"{key} is in use.", hint="Wait until its requests have finished.")
    for key in loaded:
        await context.models.pool.unload(key)
    freed = await context.manager.delete_model(record.id)
    context.events.publish("status", model=record.id, status="deleted")
    return _done({"success": True, "freed": freed})


@router.get(
    "/models/sse",
    responses={200: {"content": {"text/event-stream": {}}}},
    response_class=Response,
)
async def events(request: Request) -> Response:
    """An endless event stream of model status changes and download progress."""
    context = context_of(request)
    return PieceStream(
        _events(context),
        context.drain,
        keep_alive=context.settings.server.keep_alive_seconds,
        error=lambda problem: sse(problem.body, "error"),
    )


async def _events(context: Context) -> AsyncGenerator[bytes, None]:
    yield sse({"event": "hello", "downloads": [item.as_dict() for item in context.downloads.all()]})
    async for event in context.events.subscribe():
        yield sse(event)


async def _deletable(context: Context, name: str) -> LocalModel:
    served = await context.models.find(name)
    if served.adapters:
        raise BadReferenceError(
            f"{name!a} is {served.record.id} with adapters, which share its file.",
            hint=f"Delete {served.record.id}, or take the adapter's file away.",
        )
    return served.record


def _listed(context: Context, name: str) -> LocalModel | None:
    """The record of this exact id, in any state."""
    return next((record for record in context.manager.list_models(states="all") if record.id == name), None)


def _done(answer: Done | None = None) -> Response:
    return JSONResponse(answer or {"success": True})


def _admin_list(context: Context) -> AdminList:
    known = evaluated(context)
    cards = [card_of(context, served, known) for served in context.models.directory.known()]
    for card in cards:
        place = context.models.pool.status().get(card["id"])
        if place is not None:
            status = card["status"]
            status["users"], status["size"] = place.users, place.size
            status["idle_seconds"] = round(place.idle_seconds, 1)
            if (share := context.models.load_share(card["id"])) is not None:
                status["share"] = round(share, 3)
    unfinished = [
        _unfinished(record) for record in context.manager.list_models(states=set(ModelState) - {ModelState.AVAILABLE})
    ]
    return {
        "object": "list",
        "data": cards + unfinished,
        "downloads": [item.as_dict() for item in context.downloads.all()],
    }


def _unfinished(record: LocalModel) -> ModelCard:
    return {
        "id": record.id,
        "object": "model",
        "created": 0,
        "owned_by": "parlant-local",
        "root": record.id,
        "status": {"value": str(record.state), "done": record.done, "total": record.total, "reason": record.reason},
        "capabilities": [],
        "meta": {"name": record.name, "references": list(record.references), "source": str(record.source)},
    }


def _status(context: Context, key: str) -> str:
    place = context.models.pool.status().get(key)
    return place.state if place is not None else "unloaded"
