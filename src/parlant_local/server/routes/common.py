"""Shared by the routers."""

from __future__ import annotations

from typing import Any

from parlant_local.server.shapes.common import ErrorBody

__all__ = ["FAILURES", "failures_as", "stream_or"]

_TEXTS = {
    400: "The request is not valid.",
    401: "The API key is missing or not valid.",
    403: "Not allowed.",
    404: "No such model.",
    409: "The model is in use.",
    413: "The request is too large.",
    422: "A value is of the wrong type or out of range.",
    429: "Too many requests; see Retry-After.",
    500: "Internal server error.",
    502: "An upstream server failed.",
    503: "Loading, out of memory, or shutting down.",
    504: "No progress, or a deadline passed.",
    507: "The disk is full.",
}


def failures_as(body: Any) -> dict[int | str, dict[str, Any]]:
    """The error responses, with bodies of one form."""
    return {status: {"model": body, "description": text} for status, text in _TEXTS.items()}


FAILURES = failures_as(ErrorBody)


def stream_or(kind: str, description: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """A 200 response that is JSON, or a stream of another type with ``stream``."""
    return {
        200: {
            "description": description,
            "content": {"application/json": {"schema": schema}, kind: {}},
        }
    }
