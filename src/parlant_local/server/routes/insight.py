"""What the server did lately, what agents of this machine do, and models that could be downloaded."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from parlant_local.catalog.recommend import Recommendation
from parlant_local.catalog.search import search_models
from parlant_local.errors import ConfigurationError
from parlant_local.gguf_info import available_memory
from parlant_local.server.agents import agent_processes
from parlant_local.server.context import context_of
from parlant_local.server.evaluations import told
from parlant_local.server.shapes.answers import AgentCalls, FoundList, RequestList, SuggestionList
from parlant_local.settings import EngineSettings

__all__ = ["router"]

router = APIRouter(tags=["insight"])


@router.get("/api/requests", response_model=RequestList)
async def requests(request: Request) -> Response:
    """The last hundred requests that used or changed a model: who, when, how long, how many tokens, and why they failed."""
    answer: RequestList = {"requests": [record.report() for record in context_of(request).history]}
    return JSONResponse(answer)


@router.get("/api/agents", response_model=AgentCalls)
async def agents(request: Request) -> Response:
    """The last calls of Parlant agents: those that run on this machine with a model in their own process, and those that ask
    this server."""
    context = context_of(request)
    answer: AgentCalls = {"agents": await asyncio.to_thread(agent_processes, context.settings.home, context.history)}
    return JSONResponse(answer)


@router.get("/api/search", response_model=FoundList)
async def search(
    request: Request,
    query: Annotated[str, Query(min_length=1, max_length=200, description="Words of a model's name.")],
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> Response:
    """Models by words: those that are here, well-known ones, packages, and at most ``limit`` of the hub's; a package by its exact name
    as ``pypi:name``."""
    context = context_of(request)
    found = await context.answered(request, search_models(context.manager, query.split(), limit))
    answer: FoundList = {
        "models": [
            {
                "reference": model.reference,
                "where": model.where,
                "size": model.size,
                "quantization": model.quantization,
                "quantizations": list(model.quantizations),
                "fits": model.fits,
                "parameters": model.parameters,
                "context_length": model.context_length,
                "license": model.license,
                "downloads": model.downloads,
                "gated": model.gated,
                "base": model.base,
                "evaluation": told(model.evaluation),
                "note": model.note,
                "problem": model.problem,
            }
            for model in found.models
        ],
        "hub_problem": found.hub_problem,
    }
    return JSONResponse(answer)


@router.get("/api/recommend", response_model=SuggestionList)
async def recommend(request: Request, limit: Annotated[int, Query(ge=1, le=20)] = 4) -> Response:
    """Models to download that fit this machine; nothing is measured for it."""
    manager = context_of(request).manager

    def work() -> tuple[list[Recommendation], int | None]:
        on_gpu = _gpu_memory(manager.settings.engine)
        return manager.recommend(limit, measure=False, memory=on_gpu), on_gpu

    found, on_gpu = await asyncio.to_thread(work)
    answer: SuggestionList = {
        "models": [
            {
                "name": item.name,
                "hub": item.hub,
                "parameters": item.parameters,
                "size": item.size,
                "memory": item.memory,
                "warm_turn_seconds": item.warm_turn_seconds,
                "reasoning": item.reasoning,
                "responsive": item.responsive,
                "license": item.license,
            }
            for item in found
        ],
        "available_memory": available_memory() if on_gpu is None else on_gpu,
    }
    return JSONResponse(answer)


def _gpu_memory(engine: EngineSettings) -> int | None:
    """For models that are on the GPU as a whole; None without one, or without a library that could use it."""
    from parlant_local.engine.sizing import room_on_gpus

    try:
        return room_on_gpus(engine)
    except ConfigurationError:
        return None
