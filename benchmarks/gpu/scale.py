"""How much is asked: on a card, and of a dry run, which shows only that every step works."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Scale", "scale"]


@dataclass(frozen=True)
class Scale:
    """W: ``crowd`` calls that share ``shared`` words; T: so many calls of a turn, with ``answer`` tokens at most; C: ``stream`` tokens."""

    model: str
    crowd: int
    shared: int
    own: int
    turns: tuple[str, ...]
    calls: int
    answer: int
    stream: int
    prompts: int
    """Of the comparison with the processor, ``tokens`` each."""
    tokens: int


FULL = Scale(
    "small",
    crowd=8,
    shared=1050,
    own=100,
    turns=("1.1", "1.2"),
    calls=99,
    answer=1536,
    stream=256,
    prompts=12,
    tokens=64,
)
DRY = Scale("shipped", crowd=3, shared=60, own=10, turns=("1.1",), calls=3, answer=48, stream=32, prompts=3, tokens=12)


def scale() -> Scale:
    return DRY if os.environ.get("DRY") else FULL
