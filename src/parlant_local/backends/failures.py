"""What went wrong at the other end of an HTTP connection, in our words.

Two families of HTTP exceptions live in one environment: the ``openai`` client raises httpx2's, ``ollama`` httpx's. Their
class names and meaning agree, so both are told apart by name and neither is imported here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

from parlant_local.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ContextOverflowError,
    InvalidOutputError,
    ParlantLocalError,
    RateLimitedError,
    TargetDownError,
    TransientError,
)
from parlant_local.observability import redact

__all__ = ["from_status", "from_transport", "retry_after"]

_OVERFLOW = re.compile(
    r"context_length_exceeded|maximum context length|context length|context size|context window|exceed_context_size"
    r"|too many tokens|prompt is too long|input is too long",
    re.IGNORECASE,
)
_LOADING = re.compile(r"loading|not ready|starting", re.IGNORECASE)
_MEMORY = re.compile(
    r"out of memory|more system memory|cudaMalloc|insufficient memory|runner .*terminated", re.IGNORECASE
)
_QUOTA = re.compile(r"insufficient_quota|insufficient balance|exceeded your current quota|billing", re.IGNORECASE)
_MODEL_OUTPUT = re.compile(r"error parsing tool call|failed to parse (tool|input at pos)", re.IGNORECASE)
_QUOTED = re.compile(r"""(['"`])(?:(?!\1).){48,}\1""")
"""Long quotations: most likely what was sent."""
_NUMBERS = re.compile(r"\d[\d,]*")


def from_status(
    target: str, status: int, text: str, *, headers: Mapping[str, str] | None = None, n_ctx: int | None = None
) -> ParlantLocalError:
    """The error of an answer with an HTTP status of 300 or more (or of an error event, where ``status`` is 0)."""
    said = _shorten(text)
    wait = retry_after(headers or {})
    if status in (401, 403):
        return AuthenticationError(
            f"{target} refused the key ({status}): {said}", status=status, hint="Check its API key and its permissions."
        )
    if status in (400, 413, 422, 500, 0) and _OVERFLOW.search(text):
        return _overflow(target, text, n_ctx)
    if status == 413:
        return ContextOverflowError(
            f"{target} says that the request is too large.", needed=0, available=n_ctx or 0, hint=_SHORTER
        )
    if _MODEL_OUTPUT.search(text):
        return InvalidOutputError(f"{target} could not read its own model's tool call.")
    if status == 429:
        if _QUOTA.search(text):
            return TargetDownError(f"{target} says that its quota is used up: {said}", status=status)
        return RateLimitedError(f"{target} asks to slow down (429).", status=status, retry_after=wait)
    if status == 402:
        return TargetDownError(f"{target} wants to be paid first (402): {said}", status=status)
    if status == 404:
        return TargetDownError(
            f"{target} has no such model or path (404): {said}", status=status, hint="Check the model's name."
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
    if status in (408, 409, 425) or status >= 500 or status == 0:
        return TransientError(
            f"{target} failed ({status or 'error event'}): {said}", status=status or None, retry_after=wait
        )
    return BadRequestError(f"{target} refused the request ({status}): {said}", status=status)


def from_transport(target: str, error: BaseException, *, address: str = "") -> BackendError | None:
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


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date), if there."""
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        if (milliseconds := lowered.get("retry-after-ms")) is not None:
            return max(0.0, float(milliseconds) / 1000)
        if (value := lowered.get("retry-after")) is None:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


_SHORTER = "Shorten the prompt, or use a model with a larger context."


def _overflow(target: str, text: str, n_ctx: int | None) -> ContextOverflowError:
    # "maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens": the two largest figures.
    figures = sorted({int(found.replace(",", "")) for found in _NUMBERS.findall(text)} - {400}, reverse=True)
    plausible = [figure for figure in figures if 16 <= figure <= 100_000_000]
    needed, available = 0, n_ctx or 0
    if len(plausible) >= 2:
        needed, available = plausible[0], n_ctx or plausible[1]
    elif len(plausible) == 1 and not n_ctx:
        available = plausible[0]
    asked = f"{needed} tokens" if needed else "The prompt"
    room = f" of {available}" if available else ""
    return ContextOverflowError(
        f"{asked} do{'es' if not needed else ''} not fit in the context{room} of {target}.",
        needed=needed,
        available=available,
        hint=_SHORTER,
    )


def _shorten(text: str) -> str:
    """What the other side said, on one line, without secrets, and not long enough to quote a prompt back."""
    line = _QUOTED.sub(r"\1…\1", " ".join(redact(text).split()))
    return f"{line[:160]}…" if len(line) > 160 else line or "no reason given"
