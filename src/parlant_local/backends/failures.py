"""HTTP errors and transport failures of endpoints, mapped to this package's errors.

Two families of HTTP exceptions live in one environment: the ``openai`` client raises httpx2's, ``ollama`` httpx's. Their
class names and meaning agree, so both are told apart by name and neither is imported here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from parlant_local.backends.overflow import SHORTER, is_overflow, overflow_of
from parlant_local.backends.waits import retry_after_in_text
from parlant_local.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ContextOverflowError,
    InvalidOutputError,
    OutputError,
    ParlantLocalError,
    RateLimitedError,
    StreamInterruptedError,
    TargetDownError,
    TransientError,
)
from parlant_local.messages import whole_text
from parlant_local.observability import redact
from parlant_local.retry_after import retry_after

__all__ = ["Delivery", "from_status", "from_transport", "interrupted", "retry_after"]

_LOADING = re.compile(r"loading|not ready|starting", re.IGNORECASE)
_MEMORY = re.compile(
    r"out of memory|more system memory|cudaMalloc|insufficient memory|runner .*terminated", re.IGNORECASE
)
_QUOTA = re.compile(
    r"insufficient_quota|insufficient[ _]balance|exceeded your current quota|billing|out of credits|insufficient credits"
    r"|credit balance is too low",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"rate[ _-]?limit|too ?many ?requests|resource_exhausted|throttl|slow down|tokens? per (minute|day|hour|second)"
    r"|requests? per (minute|day|hour|second)|wait before trying again|capacity exceeded",
    re.IGNORECASE,
)
_SLOWER = re.compile(
    r"rate[ _-]?limit(ed)?[ _-](reached|exceeded)|too many (concurrent )?requests|maximum (number of )?concurrent requests",
    re.IGNORECASE,
)
_KEY = re.compile(r"invalid_api_key|incorrect api key|invalid api key|authentication_error|unauthorized", re.IGNORECASE)
_NO_MODEL = re.compile(r"model_not_found|model .{0,80}(not found|does not exist)|no such model", re.IGNORECASE)
_INVALID = re.compile(r"invalid_request_error|BadRequestError|INVALID_ARGUMENT|validation", re.IGNORECASE)
_MODEL_OUTPUT = re.compile(
    r"error parsing tool call|failed to parse (tool|input at pos)|tool_use_failed", re.IGNORECASE
)
_QUOTED = re.compile(r"""(?<!['"]:)(?<!['"]: )(?<![\w\\])(['"`])(?:(?!\1(?!\w)).){48,}\1(?!\w)""")
"""Long quotations, most likely what was sent; neither the value of a quoted key, which is a message within a message, nor what
stands between two apostrophes."""
_MAX_READ_CHARS = 20_000
_MAX_REASON_CHARS = 1000


def from_status(
    target: str, status: int, text: str, *, headers: Mapping[str, str] | None = None, n_ctx: int | None = None
) -> ParlantLocalError:
    """The error of an answer with an HTTP status of 300 or more (or of an error inside a body, where ``status`` is 0)."""
    text = text[:_MAX_READ_CHARS]
    reason = _reason_given(text)
    wait = retry_after(headers or {})
    wait = retry_after_in_text(text) if wait is None else wait
    shown = status or "error event"
    if status == 403 and re.search(r"quota|rate.?limit", text, re.IGNORECASE) and not _KEY.search(text):
        status = 429  # Google's
    if status == 400 and _SLOWER.search(text):
        status = 429
    if status in (401, 403) or (not status and _KEY.search(text)):
        return AuthenticationError(
            f"{target} rejected the API key ({shown}): {reason}",
            status=status or None,
            hint="Check its API key and its permissions.",
        )
    if is_overflow(status, text):
        return overflow_of(target, text, n_ctx, reason)
    if status == 413:
        return ContextOverflowError(
            f"{target} rejected the request as too large: {reason}", needed=None, available=n_ctx, hint=SHORTER
        )
    if _MODEL_OUTPUT.search(text):
        return InvalidOutputError(f"{target} could not parse the tool call that its model wrote.")
    if status == 429 or (status in (0, 500, 503, 529) and _RATE.search(text)):
        if _QUOTA.search(text) and wait is None:
            return TargetDownError(f"{target} reports that its quota is exhausted: {reason}", status=status or None)
        return RateLimitedError(
            f"{target} rate-limited the request ({shown}): {reason}", status=status or None, retry_after=wait
        )
    if status == 402 or (not status and _QUOTA.search(text)):
        return TargetDownError(f"{target} requires payment ({shown}): {reason}", status=status or None)
    if status == 404 or (not status and _NO_MODEL.search(text)):
        return TargetDownError(
            f"{target} has no such model or path ({shown}): {reason}", status=404, hint="Check the model's name."
        )
    if 300 <= status < 400:
        return TargetDownError(
            f"{target} answered with a redirect ({status}), which is not followed.",
            status=status,
            hint="Configure the address that it redirects to.",
        )
    if (status >= 500 or status == 0) and _MEMORY.search(text):
        return TargetDownError(f"{target} ran out of memory: {reason}", status=status or None)
    if status == 503 and wait is None and _LOADING.search(text):
        return TargetDownError(f"{target} is still loading its model.", status=status)
    if not status and _INVALID.search(text):
        return BadRequestError(f"{target} refused the request: {reason}")
    if status in (408, 409, 425) or status >= 500 or status == 0:
        return TransientError(f"{target} failed ({shown}): {reason}", status=status or None, retry_after=wait)
    return BadRequestError(f"{target} refused the request ({status}): {reason}", status=status)


def from_transport(target: str, error: BaseException, *, address: str = "") -> BackendError | BadRequestError | None:
    """The error of a connection that failed below HTTP; ``None`` where ``error`` is no such failure (a bug, say)."""
    names = {kind.__name__ for kind in type(error).__mro__}
    where = f"{target} at {address}" if address else target
    if "ConnectTimeout" in names or "PoolTimeout" in names:
        return TargetDownError(
            f"{where} did not accept a connection in time.", sent=False, hint="Is it running, and reachable?"
        )
    if "TimeoutException" in names or isinstance(error, TimeoutError):
        return TargetDownError(f"{where} sent no data in time.")
    if "ConnectError" in names or isinstance(error, ConnectionError):
        hint = "Is it running, and is the address right?"
        return TargetDownError(f"{where} can't be reached.", sent=False, hint=hint)
    if "UnsupportedProtocol" in names or "InvalidURL" in names:
        return BadRequestError(f"{where} has an invalid address.")
    if "DecodingError" in names:
        return TransientError(f"{where} sent a body that can't be decoded.")
    if "TransportError" in names or "StreamError" in names:
        return TargetDownError(f"{where} closed the connection.")
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) or "ValidationError" in names:
        return TransientError(f"{where} sent a response that does not match its API.")
    return None


def _reason_given(text: str) -> str:
    """The reason that the target gave, on one line, without secrets and without quoted input."""
    line = " ".join(redact(whole_text(_json_message(text) or text)).split())
    line = _QUOTED.sub(r"\1…\1", line)
    return f"{line[:_MAX_REASON_CHARS]}…" if len(line) > _MAX_REASON_CHARS else line.rstrip(".") or "no reason given"


def _json_message(text: str) -> str:
    """The message in a JSON body, under whatever key; empty where there is none."""
    start = text.find("{")
    try:
        value: Any = json.loads(text[start:] if start >= 0 else text)
    except (ValueError, RecursionError):
        return ""
    before = " ".join(text[: max(start, 0)].split())
    message = _message_in(value)
    return f"{before} {message}".strip() if message else ""


def _message_in(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return (_json_message(value) if depth < 3 and value.lstrip().startswith("{") else "") or value
    if depth > 4:
        return ""
    if isinstance(value, list):  # FastAPI's problems; what was sent stands in "input", which is left out
        return "; ".join(message for item in value[:5] if (message := _message_in(item, depth + 1)))
    if not isinstance(value, Mapping):
        return ""
    words = next((told for key in ("error", "message", "msg", "detail", "errors", "error_message", "error_msg", "status_msg", "reason") if (told := _message_in(value.get(key), depth + 1))), "")  # fmt: skip
    place = value.get("loc")
    if isinstance(place, list):
        words = f"{'.'.join(str(part) for part in place)}: {words}"
    metadata = value.get("metadata")  # where OpenRouter puts the provider's own message
    raw = _message_in(metadata.get("raw"), depth + 1) if isinstance(metadata, Mapping) else ""
    return f"{words} ({raw})" if raw and raw not in words else words


class Delivery:
    """A stream's chunks on their way: once one has been delivered, a failure that leaves the block is an interruption.

    An answer that is no use stays one, however much of it was delivered.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self.started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.started and isinstance(error, ParlantLocalError) and not isinstance(error, OutputError):
            raise interrupted(self._target, error) from error


def interrupted(target: str, error: ParlantLocalError) -> StreamInterruptedError:
    """For a failure after some of the answer was delivered."""
    return StreamInterruptedError(
        f"The stream of {target} broke off after its first chunk: {error.message}", hint=error.hint
    )
