"""How long the other side asks to be left alone."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.message import Message
from email.utils import parsedate_to_datetime

__all__ = ["retry_after"]


def retry_after(headers: Message | Mapping[str, str]) -> float | None:
    """Seconds by ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date); None where nothing usable stands there.

    A date counts from the answer's own ``date``, where it has one: the clock here may be wrong.
    """
    lowered = {name.lower(): str(value).strip() for name, value in headers.items()}
    try:
        if (milliseconds := lowered.get("retry-after-ms")) is not None:
            seconds = float(milliseconds) / 1000
        elif (value := lowered.get("retry-after")) is None:
            return None
        elif value[:1].isdigit() or value[:1] in "+-.":
            seconds = float(value.rstrip("s "))  # some add the unit
        else:
            sent = lowered.get("date")
            seconds = _timestamp(value) - (_timestamp(sent) if sent else time.time())
    except (ValueError, OverflowError):
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _timestamp(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()
