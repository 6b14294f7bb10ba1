"""How much of a text's end must wait, because what follows may turn it into a marker."""

from __future__ import annotations

from collections.abc import Iterable

from parlant_local.engine.text import overlap

__all__ = ["earliest", "overlap"]


def earliest(text: str, markers: Iterable[str]) -> tuple[int, str] | None:
    """Position and marker of the first one in ``text``; of two at one place the longer."""
    found = [(position, -len(marker), marker) for marker in markers if (position := text.find(marker)) >= 0]
    if not found:
        return None
    position, _, marker = min(found)
    return position, marker
