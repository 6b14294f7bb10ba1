"""``POST /v1/images/generations`` and ``/v1/images/edits``, and the short API's ``POST /api/generate-image``."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from parlant_local.errors import RequestRefusedError
from parlant_local.images import ImageRequest
from parlant_local.images.sources import read_sources
from parlant_local.server.auth import keeper_of
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.images.addresses import address_of_entry
from parlant_local.server.images.asking import Form, form_of, plain_request, request_of, unread_fields
from parlant_local.server.images.jobs import Finished, Job
from parlant_local.server.images.uploads import read_form
from parlant_local.server.routes.common import stream_or
from parlant_local.server.shapes.answers import IMAGES, GeneratedImage, ImageItem, Images
from parlant_local.server.shapes.answers.common import inlined
from parlant_local.server.shapes.images import DocumentRequest, EditForm, ImageFields
from parlant_local.server.streams import sse
from parlant_local.server.writing import LARGE, json_answer

__all__ = ["log_content", "named", "router"]

router = APIRouter(route_class=BodyRoute, tags=["images"])
_RESPONSES = stream_or("text/event-stream", "The pictures, or one event for each.", IMAGES)
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}


def _form_schema() -> dict[str, Any]:
    schema = inlined(EditForm)
    schema["properties"] |= {"image": _FILES, "mask": {"type": "string", "format": "binary"}}
    schema["required"] = ["prompt", "image"]
    return schema


@router.post("/v1/images/generations", responses=_RESPONSES)
async def generate(body: ImageFields, request: Request) -> Response:
    """Make pictures from words."""
    context = context_of(request, body)
    form = _form(context, request, body)
    job = _start(context, request, body.model, request_of(body), form)
    return await _answered(context, request, job, form, "image_generation" if body.stream else None)


@router.post(
    "/v1/images/edits",
    responses=_RESPONSES,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _form_schema()}}}},
)
async def edit(request: Request) -> Response:
    """Make pictures from a picture and words; a form, as OpenAI's clients send it."""
    context = context_of(request)
    sent = await read_form(request, context.settings.images)
    try:
        body = EditForm.model_validate(sent.fields)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False, include_url=False)) from None
    context_of(request, body)
    if not sent.sources:
        raise RequestRefusedError(
            422, "image: a picture to start from is missing.", code="invalid_value", param="image"
        )
    form = _form(context, request, body)
    asked = request_of(body, tuple(sent.sources), sent.mask)
    context.images.check(asked, named(context, body.model))
    asked = await context.answered(request, read_sources(asked, context.settings.images))
    job = _start(context, request, body.model, asked, form)
    return await _answered(context, request, job, form, "image_edit" if body.stream else None)


@router.post("/api/generate-image", response_model=GeneratedImage)
async def generate_image(body: DocumentRequest, request: Request) -> Response:
    """Make one picture; its address is answered."""
    context = context_of(request, body)
    context.images.require_keeping()
    job = _start(context, request, body.model, plain_request(body), Form("png", None, url=True, b64=False))
    [picture, *_] = await _finished(context, request, job)
    assert picture.entry is not None
    entry = picture.entry
    answer: GeneratedImage = {
        "image_url": address_of_entry(request, entry, context.settings),
        "metadata": {
            "prompt": entry.prompt,
            "parameters": {
                "negative_prompt": entry.negative_prompt,
                "width": entry.width,
                "height": entry.height,
                "num_inference_steps": entry.steps,
                "guidance_scale": entry.guidance,
                "seed": entry.seed,
                "model": entry.model,
            },
        },
    }
    return JSONResponse(answer)


def _start(context: Context, request: Request, model: str | None, asked: ImageRequest, form: Form) -> Job:
    log_content(context, asked)
    return context.images.start_job(
        asked,
        named(context, model),
        detached=False,
        owner=keeper_of(request),
        form=form.format,
        quality=form.quality,
        keep=form.url,
    )


def _form(context: Context, request: Request, body: ImageFields) -> Form:
    form = form_of(body, keeps=context.images.gallery.keeps)
    context.note_ignored(request, unread_fields(body))
    return form


async def _answered(context: Context, request: Request, job: Job, form: Form, events: str | None) -> Response:
    if events is not None:
        return await context.streamed(request, _events(context, job, events))
    pictures = await _finished(context, request, job)
    return await json_answer(lambda: _whole(context, request, job, pictures, form), LARGE)


async def _finished(context: Context, request: Request, job: Job) -> list[Finished]:
    with context.measured(job.order.model):
        return await context.answered(request, context.images.jobs.finished(job))


def _whole(context: Context, request: Request, job: Job, pictures: list[Finished], form: Form) -> Images:
    answer: Images = {
        "created": int(time.time()),
        "data": [_item(context, request, picture, form) for picture in pictures],
        "model": job.order.model,
        "output_format": job.order.form,
        "background": "opaque",
    }
    if len(sizes := {_size(picture) for picture in pictures}) == 1:
        answer["size"] = sizes.pop()
    return answer


def _item(context: Context, request: Request, picture: Finished, form: Form) -> ImageItem:
    item: ImageItem = {}
    if picture.entry is not None:
        item["url"] = address_of_entry(request, picture.entry, context.settings)
    if form.b64:
        item["b64_json"] = base64.b64encode(picture.data).decode()
    if picture.seed is not None:
        item["seed"] = picture.seed
    return item


async def _events(context: Context, job: Job, kind: str) -> AsyncGenerator[bytes, None]:
    """One event for each picture, once all are there. The counts of tokens, which clients expect, are of models that have some."""
    with context.measured(job.order.model):
        pictures = await context.images.jobs.finished(job)
    for picture in pictures:
        name = f"{kind}.completed"
        event = {
            "type": name,
            "b64_json": await asyncio.to_thread(lambda data: base64.b64encode(data).decode(), picture.data),
            "created_at": int(time.time()),
            "background": "opaque",
            "output_format": job.order.form,
            "quality": "auto",
            "size": _size(picture),
            "seed": picture.seed,
            "usage": {
                "input_tokens": 0,
                "output_tokens": 0,
                "total_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
            },
        }
        yield sse(event, name)


def _size(picture: Finished) -> str:
    return f"{picture.width}x{picture.height}"


def named(context: Context, model: str | None) -> str | None:
    if model:
        context.models.directory.check_name(model)
    return model


def log_content(context: Context, asked: ImageRequest) -> None:
    if context.settings.logging.content:
        context.logger.event("info", "picture", prompt=asked.prompt, negative_prompt=asked.negative_prompt)
