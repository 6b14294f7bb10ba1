"""What went wrong at the other end of an HTTP connection, in our words.

Two families of HTTP exceptions live in one environment: the ``openai`` client raises httpx2's, ``ollama`` httpx's. Their
class names and meaning agree, so both are told apart by name and neither is imported here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from parlant_local.backends.overflow import SHORTER, is_overflow, overflow_of
from parlant_local.backends.waits import told_wait
from parlant_local.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ContextOverflowError,
    InvalidOutputError,
    ParlantLocalError,
    RateLimitedError,
    StreamInterruptedError,
    TargetDownError,
    TransientError,
)
from parlant_local.messages import whole_text
from parlant_local.observability import redact
from parlant_local.retry_after import retry_after

__all__ = ["from_status", "from_transport", "interrupted", "retry_after"]

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
_MOST_READ = 20_000
_MOST_SAID = 1000


def from_status(
    target: str, status: int, text: str, *, headers: Mapping[str, str] | None = None, n_ctx: int | None = None
) -> ParlantLocalError:
    """The error of an answer with an HTTP status of 300 or more (or of an error inside a body, where ``status`` is 0)."""
    text = text[:_MOST_READ]
    said = _said(text)
    wait = retry_after(headers or {})
    wait = told_wait(text) if wait is None else wait
    shown = status or "error event"
    if status == 403 and re.search(r"quota|rate.?limit", text, re.IGNORECASE) and not _KEY.search(text):
        status = 429  # Google's
    if status == 400 and _SLOWER.search(text):
        status = 429
    if status in (401, 403) or (not status and _KEY.search(text)):
        return AuthenticationError(
            f"{target} refused the key ({shown}): {said}",
            status=status or None,
            hint="Check its API key and its permissions.",
        )
    if is_overflow(status, text):
        return overflow_of(target, text, n_ctx, said)
    if status == 413:
        return ContextOverflowError(
            f"{target} says that the request is too large: {said}", needed=None, available=n_ctx, hint=SHORTER
        )
    if _MODEL_OUTPUT.search(text):
        return InvalidOutputError(f"{target} could not read its own model's tool call.")
    if status == 429 or (status in (0, 500, 503, 529) and _RATE.search(text)):
        if _QUOTA.search(text) and wait is None:
            return TargetDownError(f"{target} says that its quota is used up: {said}", status=status or None)
        return RateLimitedError(
            f"{target} asks to slow down ({shown}): {said}", status=status or None, retry_after=wait
        )
    if status == 402 or (not status and _QUOTA.search(text)):
        return TargetDownError(f"{target} requires payment ({shown}): {said}", status=status or None)
    if status == 404 or (not status and _NO_MODEL.search(text)):
        return TargetDownError(
            f"{target} has no such model or path ({shown}): {said}", status=404, hint="Check the model's name."
        )
    if 300 <= status < 400:
        return TargetDownError(
            f"{target} redirects elsewhere ({status}), which is not followed.",
            status=status,
            hint="Configure its address.",
        )
    if (status >= 500 or status == 0) and _MEMORY.search(text):
        return TargetDownError(f"{target} ran out of memory: {said}", status=status or None)
    if status == 503 and wait is None and _LOADING.search(text):
        return TargetDownError(f"{target} is still loading its model.", status=status)
    if not status and _INVALID.search(text):
        return BadRequestError(f"{target} refused the request: {said}")
    if status in (408, 409, 425) or status >= 500 or status == 0:
        return TransientError(f"{target} failed ({shown}): {said}", status=status or None, retry_after=wait)
    return BadRequestError(f"{target} refused the request ({status}): {said}", status=status)


def from_transport(target: str, error: BaseException, *, address: str = "") -> BackendError | BadRequestError | None:
    """The error of a connection that failed below HTTP; ``None`` where ``error`` is no such failure (a bug, say)."""
    names = {kind.__name__ for kind in type(error).__mro__}
    where = f"{target} at {address}" if address else target
    if "ConnectTimeout" in names or "PoolTimeout" in names:
        return TargetDownError(f"{where} took no connection in time.", sent=False, hint="Is it running, and reachable?")
    if "TimeoutException" in names or isinstance(error, TimeoutError):
        return TargetDownError(f"{where} sent nothing in time.")
    if "ConnectError" in names or isinstance(error, ConnectionError):
        hint = "Is it running, and is the address right?"
        return TargetDownError(f"{where} can't be reached.", sent=False, hint=hint)
    if "UnsupportedProtocol" in names or "InvalidURL" in names:
        return BadRequestError(f"{where} has an address that can't be used.")
    if "DecodingError" in names:
        return TransientError(f"{where} sent a body that can't be decoded.")
    if "TransportError" in names or "StreamError" in names:
        return TargetDownError(f"{where} cut the connection.")
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) or "ValidationError" in names:
        return TransientError(f"{where} answered with something that is not its API.")
    return None


def _said(text: str) -> str:
    """The whole reason that the other side gave, on one line, without secrets and without what was quoted back."""
    line = " ".join(redact(whole_text(_reason(text) or text)).split())
    line = _QUOTED.sub(r"\1…\1", line)
    return f"{line[:_MOST_SAID]}…" if len(line) > _MOST_SAID else line.rstrip(".") or "no reason given"


def _reason(text: str) -> str:
    """The words in a JSON body, whatever they are called there; empty where it is none, or has none."""
    start = text.find("{")
    try:
        value: Any = json.loads(text[start:] if start >= 0 else text)
    except (ValueError, RecursionError):
        return ""
    before = " ".join(text[: max(start, 0)].split())
    told = _words(value)
    return f"{before} {told}".strip() if told else ""


def _words(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return (_reason(value) if depth < 3 and value.lstrip().startswith("{") else "") or value
    if depth > 4:
        return ""
    if isinstance(value, list):  # FastAPI's problems; what was sent stands in "input", which is left out
        return "; ".join(told for item in value[:5] if (told := _words(item, depth + 1)))
    if not isinstance(value, Mapping):
        return ""
    words = next((told for key in ("error", "message", "msg", "detail", "errors", "error_message", "error_msg", "status_msg", "reason") if (told := _words(value.get(key), depth + 1))), "")  # fmt: skip
    place = value.get("loc")
    if isinstance(place, list):
        words = f"{'.'.join(str(part) for part in place)}: {words}"
    metadata = value.get("metadata")  # OpenRouter tells the provider's own words there
    raw = _words(metadata.get("raw"), depth + 1) if isinstance(metadata, Mapping) else ""
    return f"{words} ({raw})" if raw and raw not in words else words


def interrupted(target: str, error: ParlantLocalError) -> StreamInterruptedError:
    """For a failure after some of the answer was delivered."""
    return StreamInterruptedError(f"The stream of {target} broke after it had begun: {error.message}", hint=error.hint)
