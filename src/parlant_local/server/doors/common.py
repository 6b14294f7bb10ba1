"""What the doors share: the fields that they take as a chat does, and the settings of an answer's limits."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from parlant_local.errors import RequestRefusedError
from parlant_local.server.binding import OTHER_NAMES
from parlant_local.server.shapes.chat import ChatRequest, Sampling

__all__ = ["chat_request", "one_answer"]


def chat_request(body: Sampling, **given: Any) -> ChatRequest:
    """The chat that ``body`` asks for: its sampling and constraints as they are, and ``given``, which other names had.

    Raises :class:`RequestRefusedError` for what no chat could ask.
    """
    fields = {name: getattr(body, name) for name in Sampling.model_fields}
    refused = {name: value for name, value in (body.model_extra or {}).items() if name in OTHER_NAMES}
    asked = fields | refused | {name: value for name, value in given.items() if value is not None}
    try:
        return ChatRequest(**{name: value for name, value in asked.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RequestRefusedError(422, f"{place}: {first['msg']}.", code="invalid_value", param=place) from None


def one_answer(body: Sampling) -> None:
    """Raises :class:`RequestRefusedError` where several answers are asked for, which this API can't hold."""
    if (getattr(body, "n", None) or 1) != 1:
        raise RequestRefusedError(
            400, "Only n=1 is supported here: use /v1/chat/completions.", code="unsupported", param="n"
        )
