"""Texts in PNG files: read and added without decoding the picture."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

__all__ = ["size_of", "texts_of", "with_text"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_TEXT = 1 << 20


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def texts_of(data: bytes) -> dict[str, str]:
    """Uncompressed texts by their keyword, where ``data`` is a PNG. Reads what is there, and raises nothing."""
    found: dict[str, str] = {}
    for kind, start, end in _chunks(data):
        if kind not in (b"tEXt", b"iTXt") or end - start > _MAX_TEXT:
            continue
        keyword, _, value = data[start:end].partition(b"\0")
        name = keyword.decode("latin-1")
        if kind == b"tEXt":
            found[name] = _as_utf8(value)
        elif value[:1] == b"\0":  # not compressed
            found[name] = value[2:].split(b"\0", 2)[-1].decode("utf-8", "replace")
    return found


def with_text(png: bytes, keyword: str, text: str) -> bytes:
    """``png`` with one more text, before the picture itself: not everybody reads on."""
    at = next(start - 8 for kind, start, _ in _chunks(png) if kind == b"IDAT")
    try:
        kind, body = b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        kind, body = b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")
    chunk = len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
    return png[:at] + chunk + png[at:]


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk's content."""
    at = len(_SIGNATURE)
    while data.startswith(_SIGNATURE) and at + 12 <= len(data):
        start = at + 8
        end = start + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        yield data[at + 4 : start], start, end
        at = end + 4


def _as_utf8(value: bytes) -> str:
    """Latin-1 by the standard; stable-diffusion.cpp writes UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
