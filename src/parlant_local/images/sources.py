"""Pictures to start from: decoded apart from this process, within its limits."""

from __future__ import annotations

from dataclasses import dataclass

from parlant_local.errors import BadRequestError
from parlant_local.images.base import ImageRequest
from parlant_local.images.pictures import mask_png, source_png
from parlant_local.settings.images import ImageSettings

__all__ = ["Sources", "read_sources"]


@dataclass(frozen=True, slots=True)
class Sources:
    pictures: int
    size: tuple[int, int]
    """Width and height of the first one."""
    blobs: list[bytes]
    """PNGs of our own writing. The mask comes last."""
    mask: bool


async def read_sources(request: ImageRequest, settings: ImageSettings) -> Sources:
    """Raises :class:`BadRequestError` for what can't be decoded, is too large, or doesn't fit together."""
    pictures = [await source_png(data, settings) for data in request.sources]
    blobs = [png for png, _, _ in pictures]
    size = (pictures[0][1], pictures[0][2]) if pictures else (0, 0)
    if request.mask is None:
        return Sources(len(pictures), size, blobs, mask=False)
    mask, *of_mask = await mask_png(request.mask, settings)
    if tuple(of_mask) != size:
        raise BadRequestError(
            f"The mask has {of_mask[0]} x {of_mask[1]} pixels, the picture {size[0]} x {size[1]}.",
            hint="Send one as large as the picture, white where it may change.",
            field="mask",
        )
    return Sources(len(pictures), size, [*blobs, mask], mask=True)
