"""Retry delays in the text of error messages; ``retry_after`` reads the headers."""

from __future__ import annotations

import re

from parlant_local.retry_after import seconds_of

__all__ = ["retry_after_in_text"]

_SPAN = r"(?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|days?|hours?|minutes?|mins?|seconds?|secs?|[dhms])[,\s]*)+"
_ASKS = re.compile(
    rf"(?:try again|retry|wait)\b.{{0,20}}?\b(?:in|after|for)\s+(?:about\s+)?(?P<span>{_SPAN})"
    rf"|\bwait (?:at least |about )?(?P<waited>{_SPAN})"
    r"|retry[_-]?after[_-]?(?:ms|milliseconds)['\"]?\s*[:=]\s*['\"]?(?P<milliseconds>\d+(?:\.\d+)?)"
    r"|retry[_-]?(?:delay|after|in)(?:[_-]?s(?:econds)?)?['\"]?\s*[:=]\s*['\"]?(?P<delay>\d+(?:\.\d+)?(?:ms|s)?)",
    re.IGNORECASE,
)


def retry_after_in_text(text: str) -> float | None:
    """Seconds that an error message asks to wait, as in "try again in 7m12s"."""
    found = _ASKS.search(text)
    if found is None:
        return None
    if found.group("milliseconds"):
        return float(found.group("milliseconds")) / 1000
    return seconds_of(found.group("span") or found.group("waited") or found.group("delay"))
