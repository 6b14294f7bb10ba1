"""How long the other side asks us to wait: by a header, or in its words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

__all__ = ["retry_after", "told_wait"]

_SPAN = r"(?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|days?|hours?|minutes?|mins?|seconds?|secs?|[dhms])[,\s]*)+"
_ASKS = re.compile(
    rf"(?:try again|retry|wait)\b.{{0,20}}?\b(?:in|after|for)\s+(?:about\s+)?(?P<span>{_SPAN})"
    r"|retry_?(?:delay|after)['\"]?\s*[:=]\s*['\"]?(?P<delay>\d+(?:\.\d+)?(?:ms|s)?)",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milli|d|h|m|s|$)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "milli": 0.001, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date), if there."""
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        if (milliseconds := lowered.get("retry-after-ms")) is not None:
            return max(0.0, float(milliseconds) / 1000)
        if (value := lowered.get("retry-after")) is None:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*s?\s*", value):
            return float(value.strip().rstrip("s"))
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


def told_wait(text: str) -> float | None:
    """Seconds that the words of an error ask to wait, as in "try again in 7m12s"."""
    found = _ASKS.search(text)
    if found is None:
        return None
    parts = _PART.findall(found.group("span") or found.group("delay"))
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
