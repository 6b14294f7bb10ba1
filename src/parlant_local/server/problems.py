"""Errors in OpenAI's format: a status, a type, a code, and a message that says what to do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from parlant_local import errors as e
from parlant_local.observability import redact
from parlant_local.server.shapes.common import ErrorBody

__all__ = ["Problem", "problem_of"]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "unavailable_error",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One error response."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    """Seconds after which to retry."""

    @property
    def body(self) -> ErrorBody:
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        if self.retry_after is None:
            return {}
        return {"retry-after": str(max(1, math.ceil(self.retry_after)))}


# The first matching class decides: subclasses come before their bases.
_RULES: tuple[tuple[type[e.ParlantLocalError], int, str, str | None], ...] = (
    (e.ModelNotFoundError, 404, "model_not_found", "model"),
    (e.ContextOverflowError, 400, "context_length_exceeded", "messages"),
    (e.TextTooLongError, 400, "context_length_exceeded", "input"),
    (e.SchemaError, 400, "invalid_schema", "response_format"),
    (e.TemplateError, 400, "template_error", "messages"),
    (e.RequestError, 400, "bad_request", None),
    (e.BadReferenceError, 400, "bad_reference", "model"),
    (e.QueueFullError, 429, "queue_full", None),
    (e.StallError, 504, "stalled", None),
    (e.DeadlineExceededError, 504, "deadline_exceeded", None),
    (e.EngineFailedError, 503, "engine_failed", None),
    (e.EngineClosedError, 503, "model_unloaded", None),
    (e.InsufficientMemoryError, 503, "insufficient_memory", "model"),
    (e.ModelLoadError, 500, "model_load_failed", "model"),
    (e.TruncatedOutputError, 422, "output_truncated", "max_tokens"),
    (
        e.OutputError,
        422,
        "invalid_output",
        None,
    ),  # not 5xx, which clients retry: it was retried already
    (e.InvalidModelError, 422, "invalid_model", "model"),
    (e.ModelInUseError, 409, "model_in_use", "model"),
    (e.OfflineError, 403, "offline", None),
    (e.DiskSpaceError, 507, "disk_full", None),
    (e.AccessError, 403, "no_access", "model"),
    (e.DownloadError, 502, "download_failed", "model"),
    (e.CatalogError, 400, "catalog_error", "model"),
    (e.CloudNotAllowedError, 403, "cloud_not_allowed", "model"),
    (e.BudgetExceededError, 403, "budget_exceeded", None),
    (e.NoTargetError, 400, "no_target", "model"),
    (e.AllTargetsFailedError, 502, "all_targets_failed", None),
    (e.RateLimitedError, 429, "upstream_rate_limited", None),
    (e.TargetDownError, 503, "upstream_down", None),
    (e.BackendError, 502, "upstream_failed", None),
)


def problem_of(error: BaseException) -> Problem:
    """The error response for an exception. An unexpected one reveals no details."""
    if isinstance(error, e.RequestRefusedError):
        return Problem(error.status, error.message, error.code, error.param, error.retry_after)
    if isinstance(error, e.ParlantLocalError):
        message = redact(str(error))
        if isinstance(error, e.ContextOverflowError):
            # The phrase by which clients (litellm, LibreChat) recognise this error, before our own message.
            length = f" is {error.available} tokens" if error.available is not None else " is exceeded"
            message = f"This model's maximum context length{length}. {message}"
        wait = error.retry_after
        for kind, status, code, param in _RULES:
            if isinstance(error, kind):
                if status in (429, 503) and wait is None and not isinstance(error, e.InsufficientMemoryError):
                    wait = 1.0
                return Problem(status, message, code, param, wait)
        return Problem(500, message, "internal_error")
    return Problem(500, "Internal server error; see the server's log.", "internal_error")
