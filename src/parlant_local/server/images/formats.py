"""A finished picture in the format that its client wants."""

from __future__ import annotations

import asyncio
import io
from typing import Literal

from parlant_local.errors import InvalidOutputError
from parlant_local.images import Picture
from parlant_local.images.pictures import need_decoder

__all__ = ["KINDS", "Format", "encoded"]

Format = Literal["png", "jpeg", "webp"]
KINDS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_PNG = b"\x89PNG\r\n\x1a\n"
_QUALITY = 90


async def encoded(picture: Picture, target: str, form: Format, quality: int | None) -> bytes:
    """Raises :class:`InvalidOutputError` for what is no picture, :class:`ConfigurationError` where the package that encodes is missing."""
    if not picture.data.startswith(_PNG):
        raise InvalidOutputError(f"{target} returned something else than a picture.")
    if form == "png":
        return picture.data
    need_decoder()
    return await asyncio.to_thread(_encode, picture, target, form, _QUALITY if quality is None else quality)


def _encode(picture: Picture, target: str, form: Format, quality: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    try:
        with Image.open(io.BytesIO(picture.data), formats=("PNG",)) as drawn:
            if drawn.size != (picture.width, picture.height):  # what it said has been checked against the limits
                raise InvalidOutputError(f"{target} returned a picture of another size than it says.")
            clear = form == "webp" and drawn.mode in ("RGBA", "LA")
            drawn.convert("RGBA" if clear else "RGB").save(file, form.upper(), quality=quality)
    except (OSError, ValueError, SyntaxError) as error:  # Pillow's own for damaged files
        raise InvalidOutputError(f"{target} returned a damaged picture ({error}).") from None
    return file.getvalue()
