"""Pictures from strangers, decoded in a process of its own and written anew: nothing that they hid goes on."""

from __future__ import annotations

import io
import threading
from importlib.util import find_spec
from typing import Any, Literal

from parlant_local.engine.media.decoding import WantedPicture, apart, decode_picture
from parlant_local.errors import BadRequestError, ConfigurationError, InvalidOutputError
from parlant_local.images.base import Picture
from parlant_local.settings.images import ImageSettings

__all__ = ["alpha_mask", "mask_png", "most_bytes", "need_decoder", "picture_of", "source_png"]

_BYTES_A_PIXEL = 4  # of a PNG at its worst
_SPARE = 1 << 20


def need_decoder() -> None:
    """Raises :class:`ConfigurationError` where the package that decodes pictures is missing: before work that would be lost."""
    if find_spec("PIL") is None:
        raise ConfigurationError(
            "Pictures are decoded by the package pillow, which is not installed.",
            hint='pip install "parlant-local[media]"',
        )


def most_bytes(settings: ImageSettings) -> int:
    """Of one picture that a model returns, as a file."""
    return int(settings.max_megapixels * 1e6) * _BYTES_A_PIXEL + _SPARE


async def picture_of(data: bytes, target: str, settings: ImageSettings, *, seed: int | None = None) -> Picture:
    """The picture in a model's answer. Raises :class:`InvalidOutputError` for what is none, is damaged or exceeds a limit."""
    if len(data) > (limit := most_bytes(settings)):
        raise InvalidOutputError(
            f"{target} returned a picture of {len(data) / 1e6:.1f} MB; up to {limit / 1e6:.1f} MB are read (images.max_megapixels)."
        )
    try:
        png, width, height = await _rewritten(data, "whole", settings, settings.max_megapixels, "images.max_megapixels")
    except BadRequestError as error:
        raise InvalidOutputError(f"{target} returned no usable picture. {error.message}", hint=error.hint) from None
    return Picture(png, width, height, seed)


async def source_png(data: bytes, settings: ImageSettings) -> tuple[bytes, int, int]:
    """A picture to start from, as a PNG in three colours, with its size. Raises :class:`BadRequestError`."""
    return await _rewritten(data, "colours", settings, settings.max_source_megapixels, "images.max_source_megapixels")


async def mask_png(data: bytes, settings: ImageSettings) -> tuple[bytes, int, int]:
    """A mask as a grey PNG, white where the source may change: where it was transparent, or white if it was opaque."""
    return await _rewritten(data, "mask", settings, settings.max_source_megapixels, "images.max_source_megapixels")


def alpha_mask(png: bytes) -> bytes:
    """Our own mask as OpenAI reads one: transparent where the source may change."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(png), formats=("PNG",)) as mask:
        clear = Image.new("RGBA", mask.size, "black")
        clear.putalpha(ImageOps.invert(mask.convert("L")))
        return _png(clear)


async def _rewritten(
    data: bytes, form: Literal["whole", "colours", "mask"], settings: ImageSettings, megapixels: float, setting: str
) -> tuple[bytes, int, int]:
    """A PNG, scaled down to ``images.max_megapixels``, with its size."""
    area = int(settings.max_megapixels * 1e6)
    wanted = WantedPicture(form, megapixels, setting, area=area, field="image")

    def work(stopped: threading.Event) -> tuple[bytes, int, int]:
        from PIL import Image

        pixels = decode_picture(data, wanted, stopped)
        height, width, bands = pixels.shape
        return _png(Image.fromarray(pixels[:, :, 0] if bands == 1 else pixels)), width, height

    return await apart(work)


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
