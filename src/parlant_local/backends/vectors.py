"""Vectors from other processes, validated and normalised to unit length."""

from __future__ import annotations

import math
from collections.abc import Sequence

from parlant_local.errors import InvalidOutputError

__all__ = ["normalised"]


def normalised(target: str, vectors: Sequence[Sequence[float]], *, expected: int) -> tuple[tuple[float, ...], ...]:
    """``vectors`` L2-normalised. Raises :class:`InvalidOutputError` for a wrong number, mixed lengths, NaN or zero."""
    if len(vectors) != expected:
        raise InvalidOutputError(f"{target} returned {len(vectors)} vectors for {expected} texts.")
    if len({len(vector) for vector in vectors}) > 1 or not all(vectors):
        raise InvalidOutputError(f"{target} returned vectors of different lengths.")
    result: list[tuple[float, ...]] = []
    for index, vector in enumerate(vectors):
        length = math.sqrt(math.fsum(value * value for value in vector))
        if not math.isfinite(length) or length == 0.0:
            raise InvalidOutputError(f"{target} returned no usable vector for text {index}.")
        result.append(tuple(value / length for value in vector))
    return tuple(result)
