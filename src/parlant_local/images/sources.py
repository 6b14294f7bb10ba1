"""Pictures to start from: decoded apart from this process, within its limits."""

from __future__ import annotations

from dataclasses import replace

from parlant_local.errors import BadRequestError
from parlant_local.images.base import ImageRequest
from parlant_local.images.pictures import mask_png, source_png
from parlant_local.settings.images import ImageSettings

__all__ = ["read_sources"]


async def read_sources(request: ImageRequest, settings: ImageSettings) -> ImageRequest:
    """``request`` with its pictures as PNG files of our own writing: whoever gets them may decode less carefully.

    Raises :class:`BadRequestError` for what can't be decoded, is too large, or doesn't fit together.
    """
    pictures = [await source_png(data, settings) for data in request.sources]
    if request.mask is None:
        return replace(request, sources=tuple(png for png, *_ in pictures))
    if not pictures:
        raise BadRequestError("A mask needs a picture to start from.", field="image")
    (_, *size), (mask, *of_mask) = pictures[0], await mask_png(request.mask, settings)
    if of_mask != size:
        raise BadRequestError(
            f"The mask has {of_mask[0]} x {of_mask[1]} pixels, the picture {size[0]} x {size[1]}.",
            hint="Send one as large as the picture, white where it may change.",
            field="mask",
        )
    return replace(request, sources=tuple(png for png, *_ in pictures), mask=mask)
