"""Decodes pictures and sounds, each in a process of its own with limits on time and memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from parlant_local.engine.media.decoders import shared_decoders
from parlant_local.engine.media.inputs import Image, Media, Sound
from parlant_local.errors import BadRequestError, ConfigurationError
from parlant_local.forking import in_forked_child
from parlant_local.settings import MediaSettings

__all__ = ["WantedPicture", "apart", "decode", "decode_picture", "decoded"]

T = TypeVar("T")

_SECONDS = 30
_AT_ONCE = 2  # each may take two gigabytes
_BASE_MEMORY = 512 * 1024 * 1024
_BYTES_A_SAMPLE = 4
_BYTES_A_PIXEL = 24  # of a decoder at its worst: several copies, some with an alpha channel
_PACKAGES = {"PIL": "pillow"}
_NONSENSE = (KeyError, TypeError, ValueError, OverflowError)  # of a process that a file took over
_BANDS = {"whole": (3, 4), "colours": (3,), "mask": (1,)}


@dataclass(frozen=True, slots=True)
class WantedPicture:
    """How a picture is wanted, and within which limits."""

    form: Literal["whole", "colours", "mask"]
    """``whole``: in colours, with its transparency if it has any; ``colours``: on white where it was transparent; ``mask``: in grey,
    white where it was transparent, else where it was white."""
    megapixels: float
    """A larger one is refused."""
    setting: str
    """Where that limit is set."""
    side: int = 0
    """Pixels that its longer side is scaled down to; 0: ``area`` of them in all."""
    area: int = 0
    formats: tuple[str, ...] = ("PNG", "JPEG", "WebP")
    field: str = ""
    """Of the request that sent it."""


async def decoded(data: bytes, kind: Literal["image", "audio"], settings: MediaSettings, *, rate: int) -> Media:
    """:func:`decode`, apart from the loop; cancelling the task ends the process."""
    return await apart(lambda stopped: decode(data, kind, settings, rate=rate, stopped=stopped))


async def apart(work: Callable[[threading.Event], T]) -> T:
    """``work``, on threads of its own: a hostile file may use its whole time, and the loop's default executor is shared.

    Cancelling the task sets the event that ``work`` gets.
    """
    stopped = threading.Event()
    try:
        return await asyncio.get_running_loop().run_in_executor(_executor(), work, stopped)
    except asyncio.CancelledError:
        stopped.set()
        raise


@lru_cache(maxsize=1)
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="parlant-local-decode")


# A forked process has none of its parent's threads.
in_forked_child(_executor.cache_clear)


def decode(
    data: bytes, kind: Literal["image", "audio"], settings: MediaSettings, *, rate: int, stopped: threading.Event
) -> Media:
    """The picture, or the sound at ``rate`` samples a second. Blocks for milliseconds; the first one for tenths of a second.

    Raises :class:`BadRequestError` for a file that is none, is damaged or exceeds a limit, :class:`ConfigurationError` where the
    package that decodes it is missing, :class:`InterruptedError` where ``stopped`` is set.
    """
    if len(data) > settings.max_mb * 1e6:
        raise BadRequestError(
            f"A {'picture' if kind == 'image' else 'sound'} has {len(data) / 1e6:.1f} MB; the limit is {settings.max_mb:g} MB (media.max_mb).",
            hint="Send a smaller file.",
        )
    if kind == "audio":
        return _decode_sound(data, settings, rate, stopped)
    wanted = WantedPicture(
        "colours",
        settings.max_megapixels,
        "media.max_megapixels",
        side=settings.max_side,
        formats=("PNG", "JPEG", "WebP", "GIF"),
    )
    return Image(decode_picture(data, wanted, stopped))


def decode_picture(data: bytes, wanted: WantedPicture, stopped: threading.Event) -> npt.NDArray[np.uint8]:
    """Its pixels, of shape ``(height, width, bands)``. Blocks, and raises, as :func:`decode`."""
    most, bands = int(wanted.megapixels * 1e6), _BANDS[wanted.form]
    head = {
        "kind": "image",
        "wanted": wanted.form,
        "formats": [name.upper() for name in wanted.formats],
        "pixels": most,
        "side": wanted.side,
        "area": wanted.area,
    }
    *others, last = wanted.formats
    refused = _Refused("picture", f"Pictures may be {', '.join(others)} or {last}.", wanted.field)
    answer, body = _ask(head, data, most, (wanted.side**2 or wanted.area) * max(bands), refused, stopped)
    with suppress(*_NONSENSE):
        if "large" in answer:
            width, height = map(int, answer["large"])
            raise BadRequestError(
                f"A picture has {width} x {height} pixels; the limit is {wanted.megapixels:g} megapixels ({wanted.setting}).",
                hint="" if wanted.form == "whole" else "Send a smaller one.",  # whole: a model's own
                field=wanted.field,
            )
        pixels = np.frombuffer(body, dtype=np.uint8).reshape(answer["height"], answer["width"], answer["bands"])
        if pixels.size and pixels.shape[2] in bands:
            return pixels
    raise refused.because("the decoder failed")


def _decode_sound(data: bytes, settings: MediaSettings, rate: int, stopped: threading.Event) -> Sound:
    most = int(settings.max_seconds * rate)
    head = {"kind": "audio", "rate": rate, "longest": settings.max_seconds}
    refused = _Refused("sound", "Sounds may be WAV, MP3 or FLAC.")
    answer, body = _ask(head, data, most, most * _BYTES_A_SAMPLE, refused, stopped)
    if "long" in answer:
        raise BadRequestError(
            f"A sound is longer than {settings.max_seconds:g} s (media.max_seconds).", hint="Send a shorter one."
        )
    with suppress(*_NONSENSE):
        if (samples := np.frombuffer(body, dtype=np.float32)).size:
            return Sound(samples, rate)
    raise refused.because("the decoder failed")


@dataclass(frozen=True, slots=True)
class _Refused:
    """A file that can't be decoded."""

    what: str
    hint: str
    field: str = ""

    def because(self, reason: str) -> BadRequestError:
        return BadRequestError(f"A {self.what} could not be decoded: {reason}.", hint=self.hint, field=self.field)


def _ask(
    head: dict[str, Any], data: bytes, most: int, largest: int, refused: _Refused, stopped: threading.Event
) -> tuple[dict[str, Any], bytes]:
    """What a decoder says of a file that may hold ``most`` pixels or samples."""
    limits = {"memory": _BASE_MEMORY + most * _BYTES_A_PIXEL, "seconds": _SECONDS}
    answer, body = shared_decoders().ask(head | limits, data, largest=largest, stopped=stopped)
    if (name := answer.get("missing")) is not None:
        raise ConfigurationError(
            f"{refused.what.capitalize()}s are decoded by the package {_PACKAGES.get(name, name)}, which is not installed.",
            hint='pip install "parlant-local[media]"',
        )
    if "refused" in answer:
        raise refused.because(answer["refused"])
    return answer, body
