"""Finding markers in streamed text, and how much of its end may still become one."""

from __future__ import annotations

from collections.abc import Iterable

from parlant_local.engine.text import overlap

__all__ = ["earliest", "overlap"]


def earliest(text: str, markers: Iterable[str]) -> tuple[int, str] | None:
    """Position and text of the first marker in ``text``; of two at one position, the longer."""
    found = [(position, -len(marker), marker) for marker in markers if (position := text.find(marker)) >= 0]
    if not found:
        return None
    position, _, marker = min(found)
    return position, marker
