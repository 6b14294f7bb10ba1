"""The owner's bounds of what may be asked for, and his defaults."""

from __future__ import annotations

from dataclasses import replace

from parlant_local.errors import BadRequestError
from parlant_local.images.base import ImageRequest
from parlant_local.messages import whole_text
from parlant_local.settings.images import ImageSettings

__all__ = ["bounded"]

_MAX_SEED = 2**63 - 1
_MIN_SIDE = 16


def bounded(request: ImageRequest, settings: ImageSettings, *, defaults: bool = True) -> ImageRequest:
    """``request`` with the defaults of the settings: sizes, and with ``defaults`` steps and guidance, for models that take them.

    Raises :class:`BadRequestError` naming the limit that it exceeds.
    """
    width, height = _size(request, settings)
    steps, guidance = (settings.steps, settings.guidance) if defaults else (None, None)
    asked = replace(
        request,
        prompt=whole_text(request.prompt),
        negative_prompt=whole_text(request.negative_prompt),
        width=width,
        height=height,
        steps=request.steps if request.steps is not None else steps,
        guidance=request.guidance if request.guidance is not None else guidance,
    )
    _check_words(asked, settings)
    _check_size(asked, settings)
    _check_numbers(asked, settings)
    _check_sources(asked, settings)
    return asked


def _size(request: ImageRequest, settings: ImageSettings) -> tuple[int | None, int | None]:
    """A side alone means a square; pictures to start from have their own size."""
    width, height = _squared(request.width, request.height)
    if width is None and not request.sources:
        width, height = _squared(settings.width, settings.height)
    return width, height


def _squared(width: int | None, height: int | None) -> tuple[int | None, int | None]:
    return (height if width is None else width), (width if height is None else height)


def _check_words(request: ImageRequest, settings: ImageSettings) -> None:
    if not request.prompt.strip():
        raise BadRequestError("The prompt is empty.", hint="Say what the picture shows.", field="prompt")
    limit = settings.max_prompt_characters
    for name, text in (("prompt", request.prompt), ("negative_prompt", request.negative_prompt)):
        if len(text) > limit:
            raise BadRequestError(
                f"The {name.replace('_', ' ')} has {len(text):,} characters; the limit is {limit:,} (images.max_prompt_characters).",
                field=name,
            )


def _check_size(request: ImageRequest, settings: ImageSettings) -> None:
    if request.width is None or request.height is None:
        return
    shown = f"{request.width} x {request.height} pixels"
    if min(request.width, request.height) < _MIN_SIDE:
        raise BadRequestError(f"A picture of {shown} is too small: each side needs {_MIN_SIDE}.", field="size")
    if max(request.width, request.height) > settings.max_side:
        raise BadRequestError(
            f"A picture of {shown} is too large; the limit of a side is {settings.max_side:,} (images.max_side).",
            field="size",
        )
    if request.width * request.height > settings.max_megapixels * 1e6:
        raise BadRequestError(
            f"A picture of {shown} is too large; the limit is {settings.max_megapixels:g} megapixels (images.max_megapixels).",
            field="size",
        )


def _check_numbers(request: ImageRequest, settings: ImageSettings) -> None:
    _check_between("count", request.count, 1, settings.max_count, "images.max_count")
    _check_between("steps", request.steps, 1, settings.max_steps, "images.max_steps")
    _check_between("guidance", request.guidance, 0, 100)
    _check_between("strength", request.strength, 0, 1)
    _check_between("seed", request.seed, 0, _MAX_SEED - request.count + 1)  # the next ones count on


def _check_between(name: str, value: float | None, low: float, high: float, setting: str = "") -> None:
    if value is not None and not low <= value <= high:  # nor NaN
        named = f" ({setting})" if setting else ""
        raise BadRequestError(f"{name} is {value:g}; it must be between {low:g} and {high:g}{named}.", field=name)


def _check_sources(request: ImageRequest, settings: ImageSettings) -> None:
    if not request.sources and (request.mask is not None or request.strength is not None):
        raise BadRequestError("A mask and a strength need a picture to start from.", field="image")
    if len(request.sources) > settings.max_sources:
        raise BadRequestError(
            f"The request starts from {len(request.sources)} pictures; the limit is {settings.max_sources} (images.max_sources).",
            field="image",
        )
    for data in (*request.sources, *filter(None, [request.mask])):
        if len(data) > settings.max_source_mb * 1e6:
            raise BadRequestError(
                f"A picture to start from has {len(data) / 1e6:.1f} MB; the limit is {settings.max_source_mb:g} MB (images.max_source_mb).",
                field="image",
            )
