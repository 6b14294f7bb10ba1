"""The API's OpenAPI description."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def description(request: Request) -> Response:
    """Generated once and in a thread: FastAPI's own route would block the event loop for a third of a second."""
    app: FastAPI = request.app
    if (written := getattr(app.state, "description", None)) is None:
        written = app.state.description = await asyncio.to_thread(_written, app)
    return Response(written, media_type="application/json")


def _written(app: FastAPI) -> bytes:
    return json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":")).encode()
