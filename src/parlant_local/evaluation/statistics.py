"""Shares, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

__all__ = ["Share", "median", "wilson"]

_Z = 1.959963984540054  # of a confidence of 95 %


@dataclass(frozen=True)
class Share:
    """``part`` of ``whole``, with its 95 % confidence interval."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.part, self.whole)

    def as_dict(self) -> dict[str, Any]:
        low, high = self.interval
        return {"part": self.part, "whole": self.whole, "share": self.value, "low": low, "high": high}


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Wilson's score interval: never leaves 0 to 1, and holds for few cases and for shares near its ends."""
    if not whole:
        return 0.0, 1.0
    share, square = part / whole, _Z * _Z
    middle = (share + square / (2 * whole)) / (1 + square / whole)
    reach = _Z / (1 + square / whole) * sqrt(share * (1 - share) / whole + square / (4 * whole * whole))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def median(values: Iterable[float]) -> float | None:
    ordered: Sequence[float] = sorted(values)
    if not ordered:
        return None
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
