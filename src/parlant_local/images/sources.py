"""Pictures to start from: decoded apart from this process, within its limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parlant_local.engine.media.decoding import decoded
from parlant_local.engine.media.inputs import Image
from parlant_local.errors import BadRequestError
from parlant_local.images.base import ImageRequest
from parlant_local.settings import MediaSettings, Settings

__all__ = ["Sources", "read_sources"]

_WHITE = 128


@dataclass(frozen=True, slots=True)
class Sources:
    """Pixels, row by row. The mask, which has one channel, comes last."""

    pictures: int
    size: tuple[int, int]
    """Width and height of the first one."""
    shapes: list[list[int]]
    """Width, height and channels of each."""
    blobs: list[bytes]
    mask: bool


async def read_sources(request: ImageRequest, settings: Settings) -> Sources:
    """Raises :class:`BadRequestError` for what can't be decoded, is too large, or doesn't fit together."""
    limits = settings.media.model_copy(
        update={"max_side": settings.images.max_side, "max_mb": settings.images.max_source_mb}
    )
    pictures = [await _decoded(data, limits) for data in request.sources]
    blobs, shapes = [each.tobytes() for each in pictures], [_shape(each) for each in pictures]
    size = (shapes[0][0], shapes[0][1]) if shapes else (0, 0)
    if request.mask is None:
        return Sources(len(pictures), size, shapes, blobs, mask=False)
    mask = await _decoded(request.mask, limits)
    if _shape(mask)[:2] != list(size):
        raise BadRequestError(
            f"The mask has {mask.shape[1]} x {mask.shape[0]} pixels, the picture {size[0]} x {size[1]}.",
            hint="Send one as large as the picture, white where it may change.",
            field="mask",
        )
    grey = np.where(mask.mean(axis=2) >= _WHITE, 255, 0).astype(np.uint8)
    return Sources(len(pictures), size, [*shapes, [*size, 1]], [*blobs, grey.tobytes()], mask=True)


async def _decoded(data: bytes, limits: MediaSettings) -> npt.NDArray[np.uint8]:
    found = await decoded(data, "image", limits, rate=0)
    assert isinstance(found, Image)
    return found.pixels


def _shape(pixels: npt.NDArray[np.uint8]) -> list[int]:
    return [pixels.shape[1], pixels.shape[0], 3]
