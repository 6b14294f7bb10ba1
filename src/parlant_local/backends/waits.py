"""Retry delays in the text of error messages; ``retry_after`` reads the headers."""

from __future__ import annotations

import re

__all__ = ["retry_after_in_text"]

_SPAN = r"(?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|days?|hours?|minutes?|mins?|seconds?|secs?|[dhms])[,\s]*)+"
_ASKS = re.compile(
    rf"(?:try again|retry|wait)\b.{{0,20}}?\b(?:in|after|for)\s+(?:about\s+)?(?P<span>{_SPAN})"
    r"|retry_?(?:delay|after)['\"]?\s*[:=]\s*['\"]?(?P<delay>\d+(?:\.\d+)?(?:ms|s)?)",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milli|d|h|m|s|$)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "milli": 0.001, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}


def retry_after_in_text(text: str) -> float | None:
    """Seconds that an error message asks to wait, as in "try again in 7m12s"."""
    found = _ASKS.search(text)
    if found is None:
        return None
    parts = _PART.findall(found.group("span") or found.group("delay"))
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
