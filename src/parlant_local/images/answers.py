"""What both kinds of endpoints need: base64 in answers, and the pictures of a request made fit to be sent."""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import replace

from parlant_local.errors import BadRequestError, InvalidOutputError
from parlant_local.images.base import ImageRequest
from parlant_local.images.pictures import mask_png, source_png
from parlant_local.settings.images import ImageSettings

__all__ = ["picture_bytes", "read_sources"]


async def picture_bytes(text: str, target: str) -> bytes:
    """Of base64, with or without the head of a data URI. Raises :class:`InvalidOutputError`."""
    body = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return await asyncio.to_thread(base64.b64decode, body, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidOutputError(f"{target} sent a picture whose base64 is damaged.") from None


async def read_sources(request: ImageRequest, settings: ImageSettings) -> ImageRequest:
    """``request`` with its pictures as plain PNG files: the other side may decode less carefully."""
    if not request.sources:
        return request
    read = [await source_png(data, settings) for data in request.sources]
    mask = None if request.mask is None else await mask_png(request.mask, settings)
    if mask is not None and mask[1:] != read[0][1:]:
        raise BadRequestError(
            f"The mask has {mask[1]} x {mask[2]} pixels, and the picture {read[0][1]} x {read[0][2]}.",
            hint="They must be of one size.",
            field="mask",
        )
    return replace(request, sources=tuple(png for png, _, _ in read), mask=None if mask is None else mask[0])
