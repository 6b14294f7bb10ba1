"""Pictures and sounds in messages, read from every client's form. Only what the message itself carries: nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from parlant_local.brief import Brief
from parlant_local.errors import BadRequestError
from parlant_local.messages.text import shown

__all__ = ["MediaKind", "MediaPart", "beside_text", "media_part_of", "parts_of"]

MediaKind = Literal["image", "audio"]

_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w-]+=[^;,]*)*)(;base64)?,", re.IGNORECASE)
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac"}
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
)


@dataclass(frozen=True, slots=True, repr=False)
class MediaPart(Brief):
    """A picture or a sound in a message, in the file format that it came in."""

    kind: MediaKind
    data: bytes = field(repr=False)
    at: int = 0
    """Where in the message's content it stands: before the character of this number."""
    mime: str = ""
    """As it was named, or as its first bytes say; empty where neither tells."""

    @classmethod
    def of_file(cls, data: bytes, name: str = "the file") -> MediaPart:
        """Raises :class:`BadRequestError` where the first bytes are of no picture or sound."""
        if not (mime := _signed(data)):
            raise BadRequestError(f"{name} is neither a picture (PNG, JPEG, WebP, GIF) nor a sound (WAV, MP3, FLAC).")
        return cls("image" if mime.startswith("image/") else "audio", data, 0, mime)

    @property
    def uri(self) -> str:
        return f"data:{self.mime or 'application/octet-stream'};base64,{base64.b64encode(self.data).decode()}"

    def to_openai(self) -> dict[str, Any]:
        if self.kind == "image":
            return {"type": "image_url", "image_url": {"url": self.uri}}
        form = next((name for name, mime in _AUDIO_TYPES.items() if mime == self.mime), "wav")
        return {"type": "input_audio", "input_audio": {"data": base64.b64encode(self.data).decode(), "format": form}}


def parts_of(content: str, media: Iterable[MediaPart]) -> list[str | MediaPart]:
    """``content`` in pieces, with ``media`` in their places between them."""
    parts: list[str | MediaPart] = []
    before = 0
    for part in sorted(media, key=lambda part: part.at):
        at = min(max(part.at, before), len(content))
        if at > before:
            parts.append(content[before:at])
        parts.append(part)
        before = at
    if before < len(content):
        parts.append(content[before:])
    return parts


def media_part_of(part: Mapping[str, Any], at: int) -> MediaPart:
    """Of OpenAI's ``image_url``, ``input_image`` and ``input_audio``, Anthropic's ``image``, LangChain's blocks, the AI SDK's files
    and Gemini's ``inlineData``.

    Raises :class:`BadRequestError` for an address that would have to be fetched, for what is neither a picture nor a sound, and for
    data that isn't base64.
    """
    kind = str(part.get("type"))
    held = next((part[name] for name in _HOLDERS if part.get(name) is not None), None)
    holder: Mapping[str, Any] = held if isinstance(held, Mapping) else part
    value = held if isinstance(held, str | bytes) else _value_of(holder)
    named = _first_text(holder, "media_type", "mediaType", "mime_type", "mimeType") or _first_text(
        part, "media_type", "mediaType", "mime_type", "mimeType"
    )
    if "/" not in named:
        named = _AUDIO_TYPES.get(str(holder.get("format") or "").lower(), "")
    data, stated = _decoded(value, kind)
    mime = (stated or named).lower() or _signed(data)
    return MediaPart(_kind_of(kind, mime), data, at, mime)


_HOLDERS = ("image_url", "input_audio", "audio_url", "source", "image", "audio", "file", "inlineData", "inline_data")
_VALUES = ("url", "data", "base64", "file_data", "image_url", "audio_url", "bytes")


def _value_of(holder: Mapping[str, Any]) -> Any:
    return next((holder[name] for name in _VALUES if holder.get(name) is not None), None)


def _first_text(data: Mapping[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := data.get(name), str) and value), "")


def _kind_of(part: str, mime: str) -> MediaKind:
    stated = mime.partition("/")[0] if mime != "application/octet-stream" else ""
    if stated not in ("", "image", "audio"):
        raise _unreadable(mime)
    if stated == "image" or (not stated and "image" in part):
        return "image"
    if stated == "audio" or "audio" in part:
        return "audio"
    raise _unreadable(part)


def _unreadable(what: str) -> BadRequestError:
    return BadRequestError(f"Parts of type {shown(what)} are not supported.", hint="Send text, pictures or sounds.")


def _decoded(value: Any, kind: str) -> tuple[bytes, str]:
    """The bytes, and the type that a data URI states."""
    if isinstance(value, bytes):
        return value, ""
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"A part of type {shown(kind)} has no data.", hint="Send it as a data URI.")
    if (head := _DATA_URI.match(value)) is not None:
        body = unquote_to_bytes(value[head.end() :])
        return (_from_base64(body.decode("ascii", "replace"), kind) if head[3] else body), head[1] or ""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", value):
        raise BadRequestError(
            f"A part of type {shown(kind)} would have to be fetched from {shown(value[:80])}, which is not done on a client's word.",
            hint="Send the data itself: data:image/png;base64,…",
        )
    return _from_base64(value, kind), ""


def _from_base64(text: str, kind: str) -> bytes:
    try:
        return base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(f"The data of a part of type {shown(kind)} is not base64: {error}.") from None


_URL_SAFE = str.maketrans({"-": "+", "_": "/", "\n": None, "\r": None, " ": None})


def _signed(data: bytes) -> str:
    """The type that the first bytes of a file tell."""
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(data[8:12], "")
    found = next((mime for signature, mime in _SIGNATURES if data.startswith(signature)), "")
    return found or ("audio/mpeg" if data[:1] == b"\xff" and data[1:2] and data[1] & 0xE0 == 0xE0 else "")


def beside_text(data: Mapping[str, Any]) -> tuple[MediaPart, ...]:
    """What Ollama's clients put into a message's ``images``: before the text."""
    images = data.get("images") or ()
    if not isinstance(images, Sequence) or isinstance(images, str | bytes):
        raise BadRequestError(f"images must be a list, not {shown(images)}.")
    return tuple(media_part_of({"type": "image", "data": image}, 0) for image in images)
