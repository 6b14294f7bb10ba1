"""Errors in the form of the API that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parlant_local.server.logs import request_id
from parlant_local.server.problems import Problem
from parlant_local.server.shapes.answers.messages import AnthropicError, AnthropicFailure

__all__ = ["anthropic_error", "body_of", "is_anthropic"]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def is_anthropic(path: str) -> bool:
    """Whether answers on this path have Anthropic's form."""
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def body_of(problem: Problem, path: str) -> Mapping[str, Any]:
    return anthropic_error(problem) if is_anthropic(path) else problem.body


def anthropic_error(problem: Problem) -> AnthropicError:
    kind = _TYPES.get(problem.status, "invalid_request_error" if problem.status < 500 else "api_error")
    failure: AnthropicFailure = {"type": kind, "message": problem.message}
    named = {"error_code": problem.code, "param": problem.param}
    if details := {name: value for name, value in named.items() if value is not None}:
        failure["details"] = details
    return {"type": "error", "error": failure, "request_id": request_id.get()}
