"""Pictures from strangers, decoded in a process of its own and written anew: nothing that they hid goes on."""

from __future__ import annotations

import io
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from parlant_local.engine.media.decoding import apart, ask
from parlant_local.errors import BadRequestError, ConfigurationError, InvalidOutputError
from parlant_local.images.base import Picture
from parlant_local.settings.images import ImageSettings

__all__ = ["alpha_mask", "mask_png", "most_bytes", "need_decoder", "picture_of", "source_png"]

_CONVERTER = Path(__file__).with_name("converter.py")
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
    pixels = int(settings.max_megapixels * 1e6)
    try:
        png, width, height = await _written(data, "picture", pixels, pixels, "images.max_megapixels")
    except BadRequestError as error:
        raise InvalidOutputError(f"{target} returned no usable picture. {error.message}", hint=error.hint) from None
    return Picture(png, width, height, seed)


async def source_png(data: bytes, settings: ImageSettings) -> tuple[bytes, int, int]:
    """A picture to start from, as a PNG in three colours, with its size. Raises :class:`BadRequestError`."""
    return await _given(data, "source", settings)


async def mask_png(data: bytes, settings: ImageSettings) -> tuple[bytes, int, int]:
    """A mask as a grey PNG, white where the source may change: where it was transparent, or white if it was opaque."""
    return await _given(data, "mask", settings)


def alpha_mask(png: bytes) -> bytes:
    """Our own mask as OpenAI reads one: transparent where the source may change."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(png), formats=("PNG",)) as mask:
        clear = Image.new("RGBA", mask.size, "black")
        clear.putalpha(ImageOps.invert(mask.convert("L")))
        return _png(clear)


async def _given(data: bytes, wanted: Literal["source", "mask"], settings: ImageSettings) -> tuple[bytes, int, int]:
    most, scaled = int(settings.max_source_megapixels * 1e6), int(settings.max_megapixels * 1e6)
    return await _written(data, wanted, most, scaled, "images.max_source_megapixels")


async def _written(
    data: bytes, wanted: Literal["picture", "source", "mask"], most: int, scaled: int, setting: str
) -> tuple[bytes, int, int]:
    def work(stopped: threading.Event) -> tuple[bytes, int, int]:
        head = {"wanted": wanted, "pixels": most, "scaled": scaled}
        answer, pixels = ask(_CONVERTER, head, data, most=most, what="picture", stopped=stopped)
        _check(answer, most, setting)
        return _encoded(answer, pixels), answer["width"], answer["height"]

    return await apart(work)


def _check(answer: dict[str, Any], most: int, setting: str) -> None:
    if "missing" in answer:
        need_decoder()
    if "large" in answer:
        width, height = answer["large"]
        raise BadRequestError(
            f"A picture has {width} x {height} pixels; the limit is {most / 1e6:g} megapixels ({setting}).",
            field="image",
        )
    if "mode" not in answer:
        raise BadRequestError(
            f"A picture could not be decoded: {answer.get('refused', 'the decoder failed')}.",
            hint="Pictures may be PNG, JPEG or WebP.",
            field="image",
        )


def _encoded(answer: dict[str, Any], pixels: bytes) -> bytes:
    from PIL import Image

    try:
        return _png(Image.frombytes(answer["mode"], (answer["width"], answer["height"]), pixels))
    except ValueError:  # fewer pixels than it said
        raise BadRequestError("A picture could not be decoded: the decoder failed.", field="image") from None


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
