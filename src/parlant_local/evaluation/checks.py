"""Whether a text says something, and whether an argument is the expected one."""

from __future__ import annotations

import unicodedata
from typing import Any

from parlant_local.engine.patterns import matches
from parlant_local.evaluation.format import Alternatives, Pattern, TextCheck, ValueCheck
from parlant_local.settings import ConstraintSettings

__all__ = ["same_value", "says", "shown"]

_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‑": "-", "\u00ad": None})


def says(text: str, check: TextCheck) -> bool:
    """Whether ``text`` holds what ``check`` asks for."""
    if isinstance(check, Pattern):
        return matches(check.pattern, text, ConstraintSettings())
    wanted = [str(item) for item in check.any] if isinstance(check, Alternatives) else [check]
    told = _folded(text)
    return any(_holds(told, _folded(item)) for item in wanted)


def same_value(value: Any, check: ValueCheck) -> bool:
    """Whether the argument ``value`` is what ``check`` asks for."""
    if isinstance(check, Pattern):
        return value is not None and matches(check.pattern, str(value), ConstraintSettings())
    if isinstance(check, Alternatives):
        return any(same_value(value, item) for item in check.any)
    if isinstance(check, list):
        given = value if isinstance(value, list | tuple) else [value]
        return len(given) == len(check) and all(map(same_value, given, check))
    if value is None or check is None:
        return value is check
    if isinstance(check, bool):
        return _folded(str(value)) == str(check).lower()
    if isinstance(check, int | float):
        return _number(value) == check
    return _folded(str(value)) == _folded(check)


def shown(check: TextCheck | ValueCheck) -> str:
    """The check as a report names it."""
    if isinstance(check, Pattern):
        return f"/{check.pattern}/"
    if isinstance(check, Alternatives):
        return " or ".join(repr(item) for item in check.any)
    return repr(check)


def _folded(text: str) -> str:
    """Without what makes no difference: case, spacing, full-width and typographic variants."""
    return " ".join(unicodedata.normalize("NFKC", text).translate(_PLAIN).casefold().split())


def _holds(text: str, wanted: str) -> bool:
    """Whether ``wanted`` is in ``text``; a number only as a whole one, so that 14 is not found in 2014."""
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        cut_before = wanted[:1].isdigit() and text[start - 1 : start].isdigit()
        cut_after = wanted[-1:].isdigit() and text[end : end + 1].isdigit()
        if not cut_before and not cut_after:
            return True
        start = text.find(wanted, start + 1)
    return False


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
