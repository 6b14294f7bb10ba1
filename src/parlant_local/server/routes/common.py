"""What routers have in common."""

from __future__ import annotations

from typing import Any

from parlant_local.server.shapes.common import ErrorBody

__all__ = ["FAILURES", "stream_or"]

_TEXTS = {
    400: "The request can't be served as it is.",
    401: "The API key is missing or unknown.",
    403: "Not allowed here.",
    404: "No such model.",
    409: "The model is in use.",
    413: "The request is too large.",
    422: "A value is of the wrong type or out of range.",
    429: "Too much at a time; Retry-After says when to try again.",
    500: "The server failed.",
    502: "Another server that was asked failed.",
    503: "Loading, out of memory, or shutting down.",
    504: "No progress, or a deadline passed.",
    507: "The disk is full.",
}
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": text} for status, text in _TEXTS.items()
}


def stream_or(kind: str, description: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """A 200 that is JSON, or with ``stream`` pieces of another kind."""
    return {
        200: {
            "description": description,
            "content": {"application/json": {"schema": schema}, kind: {}},
        }
    }
