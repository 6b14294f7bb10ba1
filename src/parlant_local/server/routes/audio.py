"""``/v1/audio``: there is none, and what there is instead."""

from __future__ import annotations

from typing import NoReturn

from fastapi import APIRouter

from parlant_local.errors import RequestRefusedError

__all__ = ["router"]

router = APIRouter(tags=["audio"])


@router.post("/v1/audio/speech")
async def speech() -> None:
    """Always refused: models here write, and don't speak."""
    _refuse("No model here speaks", "Take the text of /v1/chat/completions to a program that does.")


@router.post("/v1/audio/transcriptions")
async def transcriptions() -> None:
    """Always refused: a sound is a part of a chat's message."""
    _refuse("Sounds are not transcribed by this path", _HEARING)


@router.post("/v1/audio/translations")
async def translations() -> None:
    """Always refused: a sound is a part of a chat's message."""
    _refuse("Sounds are not translated by this path", _HEARING)


_HEARING = (
    "Models that hear take them as parts of a message (input_audio) in /v1/chat/completions, with the task in words."
)


def _refuse(what: str, instead: str) -> NoReturn:
    # Not 501, which clients would ask again.
    raise RequestRefusedError(404, f"{what}. {instead}", code="unsupported")
