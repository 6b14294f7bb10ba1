"""What clients ask for, in three forms, as one request; what can't be done is refused before any work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

from parlant_local.errors import RequestRefusedError
from parlant_local.images import ImageRequest
from parlant_local.server.images.formats import Format
from parlant_local.server.shapes.images import DocumentRequest, ImageFields, JobRequest

__all__ = ["Form", "form_of", "plain_request", "request_of", "unread_fields"]

N = TypeVar("N", int, float)

_SIZE = re.compile(r"(\d{1,6})[xX×](\d{1,6})\Z")
_DOCUMENT_SIDE = 512
_DOCUMENT_STEPS = 20
_DOCUMENT_GUIDANCE = 7.5


@dataclass(frozen=True, slots=True)
class Form:
    """How OpenAI's clients want their pictures."""

    format: Format
    quality: int | None
    url: bool
    b64: bool


def request_of(
    body: ImageFields | JobRequest, sources: tuple[bytes, ...] = (), mask: bytes | None = None
) -> ImageRequest:
    """Raises :class:`RequestRefusedError` for a size that is none."""
    width, height = _size(body.size)
    if isinstance(body, JobRequest):
        width, height = body.width or width, body.height or height
    return ImageRequest(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt or "",
        width=width,
        height=height,
        count=1 if body.n is None else body.n,
        steps=_first(body.steps, body.num_inference_steps),
        guidance=_first(body.guidance, body.guidance_scale),
        seed=None if body.seed == -1 else body.seed,
        sampler=body.sampler or None,
        sources=sources,
        mask=mask,
        strength=body.strength,
    )


def plain_request(body: DocumentRequest) -> ImageRequest:
    return ImageRequest(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt or "",
        width=_first(body.width, _DOCUMENT_SIDE),
        height=_first(body.height, _DOCUMENT_SIDE),
        steps=_first(body.num_inference_steps, _DOCUMENT_STEPS),
        guidance=_first(body.guidance_scale, _DOCUMENT_GUIDANCE),
        seed=None if body.seed == -1 else body.seed,
    )


def form_of(body: ImageFields, *, keeps: bool) -> Form:
    """Where a client doesn't say how it wants its pictures, it gets both: OpenAI's models differ in what they answer with.

    ``keeps``: whether pictures are kept, so that there can be addresses of them.
    """
    if body.background == "transparent":
        raise _unsupported("background", "Pictures made here have no transparent background: take `opaque` or `auto`.")
    form = body.output_format or "png"
    if form not in ("png", "jpeg", "webp"):
        raise _unsupported("output_format", f"Pictures can't be written as {form}: take png, jpeg or webp.")
    if body.partial_images and not body.stream:
        raise _unsupported("partial_images", "partial_images needs `stream`.")
    if body.response_format == "url" and body.stream:
        raise _unsupported("response_format", "A stream has pictures as b64_json: omit response_format.")
    if body.response_format == "url" and not keeps:
        raise _unsupported(
            "response_format",
            "This server keeps no pictures, so that they have no address (images.keep_hours, images.keep_mb): take b64_json.",
        )
    asked = None if body.stream else body.response_format
    return Form(
        "png" if form == "png" else "jpeg" if form == "jpeg" else "webp",
        None if form == "png" else body.output_compression,
        url=keeps and asked != "b64_json" and not body.stream,
        b64=asked != "url",
    )


def unread_fields(body: ImageFields) -> list[str]:
    """Known fields that change nothing here, where they ask for more than what happens anyway."""
    unread = [
        name
        for name in ("style", "user", "safety_identifier", "moderation", "input_fidelity", "complexity")
        if getattr(body, name) not in (None, "", "auto")
    ]
    if body.quality not in (None, "auto", "standard"):
        unread.append("quality")
    if body.output_compression is not None and (body.output_format or "png") == "png":
        unread.append("output_compression")
    if body.partial_images:
        unread.append("partial_images")
    return unread


def _size(text: str | None) -> tuple[int | None, int | None]:
    if text is None or text.strip().lower() in ("", "auto"):
        return None, None
    if (match := _SIZE.match(text.strip())) is None:
        raise RequestRefusedError(
            400, "size must be WIDTHxHEIGHT in pixels, such as 512x512, or auto.", code="bad_size", param="size"
        )
    return int(match[1]), int(match[2])


def _first(value: N | None, otherwise: N | None) -> N | None:
    return otherwise if value is None else value


def _unsupported(param: str, message: str) -> RequestRefusedError:
    return RequestRefusedError(400, message, code="unsupported", param=param)
