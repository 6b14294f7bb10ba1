"""Health, status and metrics. None of them loads a model."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local import __version__
from parlant_local.server.context import Context, context_of
from parlant_local.server.metrics import CONTENT_TYPE
from parlant_local.server.shapes.answers import Health, Status

__all__ = ["router"]

router = APIRouter(tags=["insight"])
_READY = ("ok", "degraded")
_NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "Loading or shutting down."}}


@router.get("/readyz", response_model=Health, responses=_NOT_READY)
@router.get("/health", response_model=Health, responses=_NOT_READY)
@router.get("/v1/health", response_model=Health, responses=_NOT_READY)
async def health(request: Request) -> Response:
    """200 when ready, 503 while models are preloaded, when shutting down, and after repeated failures.

    ``degraded`` is ready: requests are answered, but not as they should be; ``/api/health`` says why.
    """
    answer: Health = {"status": context_of(request).health}
    return JSONResponse(answer, 200 if answer["status"] in _READY else 503)


@router.get("/livez", response_model=Health)
async def alive(request: Request) -> Response:  # noqa: ARG001  # as every route
    """200 as long as this process answers at all: whoever restarts it on another answer loses the models that are loading."""
    answer: Health = {"status": "ok"}
    return JSONResponse(answer)


@router.get("/api/health", response_model=Health, responses=_NOT_READY)
async def api_health(request: Request) -> Response:
    """Like ``/health``, with reasons, the time and the version."""
    context = context_of(request)
    body: Health = {
        "status": context.health,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
    }
    if body["status"] == "degraded":
        body["reasons"] = [str(found) for found in context.shortcomings.now()]
    return JSONResponse(body, 200 if body["status"] in _READY else 503)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Prometheus's text format."""
    return Response(context_of(request).metrics.render(), media_type=CONTENT_TYPE)


@router.get("/api/status", response_model=Status)
async def status(request: Request) -> Response:
    """Services, models, throughput, cache, machine and switcher, as they are now."""
    context = context_of(request)
    pool = context.models.pool.status()
    stats = context.engine_stats()
    answer: Status = {
        "status": context.health,
        "version": __version__,
        "time": time.time(),
        "uptime_seconds": round(time.monotonic() - context.started, 1),
        "requests_running": context.drain.running - 1,  # this one doesn't count
        "models": {
            name: {
                "state": place.state,
                "users": place.users,
                "size": place.size,
                "idle_seconds": round(place.idle_seconds, 1),
                "loaded_seconds": None if place.loaded_seconds is None else round(place.loaded_seconds, 1),
                "engine": stats[name].as_dict() if name in stats else None,
            }
            for name, place in pool.items()
        },
        "services": await asyncio.to_thread(_services, context),
        "switcher": _switcher(context),
        "machine": await context.machine.now(),
    }
    return JSONResponse(answer)


def _services(context: Context) -> dict[str, Any]:
    """This process's engine, the catalogue, and configured endpoints."""
    settings = context.settings
    return {
        "engine": {"state": context.health, "failed": context.failed_preloads},
        "catalogue": {"models": len(context.models.directory.records()), "offline": context.manager.offline},
        "endpoints": {name: {"base_url": endpoint.base_url} for name, endpoint in settings.endpoints.items()},
    }


def _switcher(context: Context) -> dict[str, Any]:
    settings = context.settings.switcher
    return {
        "configured": context.models.switches,
        "allow_cloud": settings.allow_cloud,
        "policy": settings.policy,
        "fallbacks": list(settings.fallbacks),
        "routes": {name: route.stats() for name, route in context.models.routes().items()},
        "targets": {
            name: [report.to_json() for report in route.reports()] for name, route in context.models.routes().items()
        },
        "recent": context.models.recent_switches(),
    }
