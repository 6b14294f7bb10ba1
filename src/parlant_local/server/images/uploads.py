"""Pictures that clients send, in forms and in data URIs. Nothing of them is decoded here."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException

from parlant_local.errors import RequestRefusedError
from parlant_local.settings import ImageSettings

__all__ = ["ImageForm", "read_form", "uploaded"]

_MOST_FIELDS = 64
_FIELD_BYTES = 1 << 20
_SAYS_WHO = ("authorization", "api-key", "x-api-key")
_SOURCES = ("image", "image[]")


@dataclass(slots=True)
class ImageForm:
    fields: dict[str, str] = field(default_factory=dict)
    sources: list[bytes] = field(default_factory=list, repr=False)
    mask: bytes | None = field(default=None, repr=False)


async def read_form(request: Request, settings: ImageSettings) -> ImageForm:
    """The fields and files of a multipart form. Raises :class:`RequestRefusedError`."""
    _check_sender(request.headers)
    try:
        form = await request.form(
            max_files=settings.max_sources + 1, max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES
        )
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise RequestRefusedError(
            400,
            f"The form can't be read: {error.detail} A request starts from at most {settings.max_sources} pictures "
            "(images.max_sources) and one mask.",
            code="bad_form",
        ) from None
    found = ImageForm()
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                await _take(found, name, value, settings)
            elif name in (*_SOURCES, "mask"):
                raise RequestRefusedError(400, f"{name} must be a file.", code="bad_form", param=name)
            else:
                found.fields[name] = value
    finally:
        await form.close()
    return found


def _check_sender(headers: Headers) -> None:
    """A page of another website can send a form without a preflight, as it can't send JSON. So a form has to carry what only
    a preflight allows, or an origin, which has been checked."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestRefusedError(415, "Compressed forms are not supported.", code="unsupported_encoding")
    if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RequestRefusedError(
            422, "The body must be a form with the header `content-type: multipart/form-data`.", code="invalid_value"
        )
    if "origin" not in headers and not any(name in headers for name in _SAYS_WHO):
        raise RequestRefusedError(
            403,
            "A form needs the header `Authorization: Bearer KEY`, so that no other website can send one; any key where this server "
            "has none.",
            code="header_needed",
        )


async def _take(found: ImageForm, name: str, file: UploadFile, settings: ImageSettings) -> None:
    if name not in (*_SOURCES, "mask"):
        raise RequestRefusedError(
            400, "Only image, image[] and mask may be files.", code="unsupported", param=name[:64]
        )
    if (file.size or 0) > settings.max_source_mb * 1e6:
        raise _too_large(file.size or 0, settings)
    data = await file.read()
    if name != "mask":
        found.sources.append(data)
    elif found.mask is not None:
        raise RequestRefusedError(400, "A request has one mask.", code="bad_form", param="mask")
    else:
        found.mask = data


def uploaded(uri: str, settings: ImageSettings, param: str) -> bytes:
    """The bytes of a data URI; nothing is fetched on a client's word."""
    head, comma, text = uri.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise RequestRefusedError(
            400,
            "A picture to start from is the id of a kept one, or a data URI in base64 (data:image/png;base64,…).",
            code="bad_picture",
            param=param,
        )
    if len(text) * 3 // 4 > settings.max_source_mb * 1e6:
        raise _too_large(len(text) * 3 // 4, settings)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestRefusedError(
            400, "A picture to start from is not valid base64.", code="bad_picture", param=param
        ) from None


def _too_large(size: int, settings: ImageSettings) -> RequestRefusedError:
    return RequestRefusedError(
        413,
        f"A picture to start from has {size / 1e6:.1f} MB; the limit is {settings.max_source_mb:g} MB (images.max_source_mb).",
        code="picture_too_large",
    )
