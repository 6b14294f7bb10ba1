"""How long the other side asks to be left alone."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.message import Message
from email.utils import parsedate_to_datetime

__all__ = ["retry_after", "seconds_of"]

_SPAN = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|[dhms])\s*)+", re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milli|d|h|m|s|$)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "milli": 0.001, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}


def retry_after(headers: Message | Mapping[str, str]) -> float | None:
    """Seconds by ``retry-after-ms`` or ``retry-after`` (seconds, a span like ``1m30s``, or a date); None where nothing usable
    stands there.

    A date counts from the answer's own ``date``, where it has one: the clock here may be wrong.
    """
    lowered = {name.lower(): str(value).strip() for name, value in headers.items()}
    try:
        if (milliseconds := lowered.get("retry-after-ms", lowered.get("x-ms-retry-after-ms"))) is not None:
            seconds = float(milliseconds) / 1000
        elif (value := lowered.get("retry-after")) is None:
            return None
        elif _SPAN.fullmatch(value):  # some add the unit
            seconds = seconds_of(value)
        elif (value[:1].isdigit() and "T" not in value) or value[:1] in "+-.":
            seconds = float(value)
        else:
            sent = lowered.get("date")
            seconds = _timestamp(value) - (_timestamp(sent) if sent else time.time())
    except (ValueError, OverflowError):
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def seconds_of(span: str) -> float:
    """Of a span like ``7m12s``, ``530ms`` or ``20``."""
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in _PART.findall(span))


def _timestamp(date: str) -> float:
    return (datetime.fromisoformat(date) if date[:1].isdigit() else parsedate_to_datetime(date)).timestamp()
