"""The web page at ``/``: only files of this package."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from parlant_local.errors import RequestRefusedError
from parlant_local.messages import shown
from parlant_local.server.assets import asset

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_HEADERS = {
    # Model output is shown as text; should a script slip through, the browser does not run it.
    "content-security-policy": "default-src 'self'; img-src 'self' data:; media-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
    "vary": "accept-encoding",
}


@router.get("/")
async def index(request: Request) -> Response:
    return await _answer("index.html", request)


@router.get("/favicon.ico")
async def icon(request: Request) -> Response:
    return await _answer("icon.svg", request)


@router.get("/page/{name:path}")
async def file(name: str, request: Request) -> Response:
    return await _answer(name, request)


async def _answer(name: str, request: Request) -> Response:
    found = await asyncio.to_thread(asset, name)
    if found is None:
        raise RequestRefusedError(404, f"Unknown file {shown(name)}.", code="not_found")
    headers = {**_HEADERS, "etag": found.etag}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        body = await asyncio.to_thread(lambda: found.packed)
        if body is not found.body:
            headers["content-encoding"] = "gzip"
        return Response(body, media_type=found.kind, headers=headers)
    return Response(found.body, media_type=found.kind, headers=headers)
