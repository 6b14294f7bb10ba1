"""How much of a text's end must wait, because what follows may turn it into a marker."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["earliest", "overlap"]


def overlap(text: str, markers: Iterable[str]) -> int:
    """Characters at the end of ``text`` with which one of the markers begins (and is not yet whole)."""
    longest = 0
    for marker in markers:
        for length in range(min(len(text), len(marker) - 1), longest, -1):
            if text.endswith(marker[:length]):
                longest = length
                break
    return longest


def earliest(text: str, markers: Iterable[str]) -> tuple[int, str] | None:
    """Position and marker of the first one in ``text``; of two at one place the longer."""
    found = [(position, -len(marker), marker) for marker in markers if (position := text.find(marker)) >= 0]
    if not found:
        return None
    position, _, marker = min(found)
    return position, marker
