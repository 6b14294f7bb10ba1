"""``POST /v1/chat/completions/control``: the course of an answer that is being written, after llama-server's."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.server.auth import keeper_of
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import context_of
from parlant_local.server.shapes.answers import Done
from parlant_local.server.shapes.others import ControlRequest

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["chat"])


@router.post("/v1/chat/completions/control", response_model=Done)
async def control(body: ControlRequest, request: Request) -> Response:
    """End a model's thoughts: it answers with what it has. ``success`` is false where it doesn't think, or no longer."""
    record = context_of(request, body).running.find(keeper_of(request), body.id)
    answer: Done = {"success": record.watch.end_thoughts()}
    return JSONResponse(answer)
