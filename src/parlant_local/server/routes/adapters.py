"""``GET`` and ``POST /lora-adapters``, as llama-server has them: adapters, and how much of each is added."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body, Request
from starlette.responses import JSONResponse, Response

from parlant_local.catalog.adapters import Adapter
from parlant_local.errors import RequestRefusedError
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.shapes.answers import AdapterCard
from parlant_local.server.shapes.others import AdapterScale

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["administration"])


@router.get("/lora-adapters", response_model=list[AdapterCard])
async def list_adapters(request: Request) -> Response:
    """Every adapter; ``MODEL:NAME`` names a model with it. What lies in the home's folder ``adapters`` is one."""
    return JSONResponse(await asyncio.to_thread(_cards, context_of(request)))


@router.post("/lora-adapters", response_model=list[AdapterCard])
async def scale_adapters(body: Annotated[list[AdapterScale], Body(max_length=256)], request: Request) -> Response:
    """Other scales for calls that name none; adapters that are not listed keep theirs."""
    context = context_of(request)
    known = list((await asyncio.to_thread(context.models.directory.adapters.all)).values())
    chosen = [(_chosen(item, known), item.scale) for item in body]  # all of them, before any is changed
    for adapter, scale in chosen:
        context.models.directory.adapters.rescale(adapter.name, scale)
    return JSONResponse(await asyncio.to_thread(_cards, context))


def _chosen(item: AdapterScale, known: list[Adapter]) -> Adapter:
    for number, adapter in enumerate(known):
        if adapter.name == item.id or (isinstance(item.id, int) and item.id == number):
            return adapter
    raise RequestRefusedError(
        404, f"There is no adapter {item.id!r}; GET /lora-adapters lists them.", code="no_such_adapter", param="id"
    )


def _cards(context: Context) -> list[AdapterCard]:
    adapters = context.models.directory.adapters.all().values()
    return [_card(number, adapter) for number, adapter in enumerate(adapters)]


def _card(number: int, adapter: Adapter) -> AdapterCard:
    card: AdapterCard = {"id": number, "name": adapter.name, "path": adapter.path.name, "scale": adapter.scale}
    if adapter.architecture is not None:
        card["architecture"] = adapter.architecture
    if adapter.problem is not None:
        card["problem"] = adapter.problem
    return card
