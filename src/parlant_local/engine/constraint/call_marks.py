"""The marks around a tool call's arguments."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CallMarks"]


@dataclass(frozen=True, slots=True)
class CallMarks:
    """The marks of one grammar, those nearest to the call's end first."""

    closing: tuple[str, ...]
    """End a value or the whole call."""
    opening: tuple[str, ...]
    """Begin an argument that is required, or end a key."""
