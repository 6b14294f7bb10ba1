"""Pictures as jobs that go on without their client, and the gallery of what was made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from parlant_local.errors import RequestRefusedError
from parlant_local.images.sources import read_sources
from parlant_local.messages import shown
from parlant_local.server.auth import keeper_of
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.history import current_request
from parlant_local.server.images.asking import request_of
from parlant_local.server.images.formats import KINDS
from parlant_local.server.images.uploads import uploaded
from parlant_local.server.routes.images import log_content, named
from parlant_local.server.shapes.answers import ImageJob, ImageList, Removed
from parlant_local.server.shapes.images import JobRequest
from parlant_local.server.streams import PieceStream, sse

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["images"])
_HEADERS = {
    # It is a picture and nothing else, whatever it holds.
    "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "cross-origin",
    "cache-control": "private, max-age=3600",
}


@router.post("/api/images", response_model=ImageJob, status_code=202)
async def start(body: JobRequest, request: Request) -> Response:
    """Start to make pictures; ``GET /api/images/events`` tells of each step."""
    context, owner = context_of(request, body), keeper_of(request)
    context.images.require_keeping()
    asked = request_of(body, *await _sent(context, body, owner))
    context.images.check(asked, named(context, body.model))
    asked = await context.answered(request, read_sources(asked, context.settings.images))
    log_content(context, asked)
    job = context.images.start_job(asked, body.model, detached=True, owner=owner)
    if (record := current_request.get()) is not None:
        record.model = job.order.model
    return JSONResponse(context.images.report(job), 202)


@router.get("/api/images", response_model=ImageList)
async def list_images(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=500)] = 60,
    before: Annotated[str | None, Query(max_length=64, description="The id of the last picture that is known.")] = None,
) -> Response:
    """Jobs, and the pictures that are kept: the newest first, each client's own."""
    context, owner = context_of(request), keeper_of(request)
    entries = await asyncio.to_thread(context.images.gallery.entries, owner)
    if before is not None:
        known = next((at for at, entry in enumerate(entries) if entry.id == before), len(entries))
        entries = entries[known + 1 :]
    jobs = [job for job in context.images.jobs.of(owner) if job.state != "done"]
    answer: ImageList = {
        "jobs": [context.images.report(job) for job in jobs],
        "pictures": [context.images.kept(entry) for entry in entries[:limit]],
        "more": len(entries) > limit,
    }
    return JSONResponse(answer)


@router.get("/api/images/events", responses={200: {"content": {"text/event-stream": {}}}}, response_class=Response)
async def events(request: Request) -> Response:
    """An endless event stream: every step of the client's jobs, and pictures that are removed."""
    context, owner = context_of(request), keeper_of(request)
    return PieceStream(
        _events(context, owner),
        context.drain,
        keep_alive=context.settings.server.keep_alive_seconds,
        error=lambda problem: sse(problem.body, "error"),
    )


@router.get("/api/images/{id}", response_model=ImageJob)
async def find(id: str, request: Request) -> Response:
    """A job: its step, its pictures, or why it failed."""
    context = context_of(request)
    job = await context.images.find_job(id, keeper_of(request))
    if job is None:
        raise _unknown(id)
    return JSONResponse(job)


@router.delete("/api/images/{id}", response_model=Removed)
async def remove(id: str, request: Request) -> Response:
    """Cancel a job, or remove the pictures of one that is done, or one picture."""
    context, owner = context_of(request), keeper_of(request)
    job = context.images.jobs.find(id)
    cancelled = False
    if job is not None and job.order.owner == owner:
        cancelled = await context.images.jobs.cancel(job)
        if not cancelled:
            context.images.jobs.forget(job)
    entries = await asyncio.to_thread(context.images.entries_of, id, owner)
    if not entries and (job is None or job.order.owner != owner):
        raise _unknown(id)
    answer: Removed = {"removed": await context.images.remove(entries), "cancelled": cancelled}
    return JSONResponse(answer)


@router.delete("/api/images", response_model=Removed)
async def remove_all(request: Request) -> Response:
    """Remove every picture of this client, and forget jobs that have ended. Jobs go on."""
    context, owner = context_of(request), keeper_of(request)
    entries = await asyncio.to_thread(context.images.gallery.entries, owner)
    for job in context.images.jobs.of(owner):
        context.images.jobs.forget(job)
    answer: Removed = {"removed": await context.images.remove(entries)}
    return JSONResponse(answer)


@router.get(
    "/images/{file}",
    response_class=Response,
    responses={200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in KINDS.values()}}},
)
async def picture(file: str, request: Request) -> Response:
    """A picture. Its address needs no key: who knows it may see it, until it expires."""
    context = context_of(request)
    identity, _, form = file.partition(".")
    entry = await asyncio.to_thread(context.images.gallery.find, identity)
    if entry is None or entry.form != form:
        raise _unknown(file)
    if f'"{entry.id}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=_HEADERS | {"etag": f'"{entry.id}"'})
    data = await asyncio.to_thread(context.images.gallery.read, entry)
    if data is None:
        raise _unknown(file)
    headers = _HEADERS | {"etag": f'"{entry.id}"', "content-disposition": f'inline; filename="{entry.name}"'}
    return Response(data, media_type=KINDS[entry.form], headers=headers)


async def _sent(context: Context, body: JobRequest, owner: str) -> tuple[tuple[bytes, ...], bytes | None]:
    """The files of a job's sources, as they are kept or were sent."""
    most = context.settings.images.max_sources + 1  # so that one too many is refused, and no more are read
    sources = [await _source(context, source, owner) for source in (body.sources or [])[:most]]
    mask = None if body.mask is None else uploaded(body.mask, context.settings.images, "mask")
    return tuple(sources), mask


async def _source(context: Context, source: str, owner: str) -> bytes:
    if source.startswith("data:"):
        return uploaded(source, context.settings.images, "sources")
    entry = await asyncio.to_thread(context.images.gallery.find, source)
    data = (
        None if entry is None or entry.owner != owner else await asyncio.to_thread(context.images.gallery.read, entry)
    )
    if data is None:
        raise RequestRefusedError(
            400,
            f"{shown(source)} is neither the id of a kept picture nor a data URI.",
            code="bad_picture",
            param="sources",
        )
    return data


async def _events(context: Context, owner: str) -> AsyncGenerator[bytes, None]:
    jobs = [context.images.report(job) for job in context.images.jobs.of(owner) if not job.ended]
    yield sse({"event": "hello", "jobs": jobs})
    async for event in context.images.told(owner):
        yield sse(event)


def _unknown(identity: str) -> RequestRefusedError:
    return RequestRefusedError(
        404, f"There is no picture or job {shown(identity)}; it may have expired.", code="not_found"
    )
