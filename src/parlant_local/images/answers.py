"""The pictures in the answers of both kinds of endpoints."""

from __future__ import annotations

import asyncio
import base64
import binascii

from parlant_local.errors import InvalidOutputError

__all__ = ["picture_bytes"]


async def picture_bytes(text: str, target: str) -> bytes:
    """Of base64, with or without the head of a data URI. Raises :class:`InvalidOutputError`."""
    body = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return await asyncio.to_thread(base64.b64decode, body, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidOutputError(f"{target} sent a picture whose base64 is damaged.") from None
