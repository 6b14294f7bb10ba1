"""What a backend is beside its calls where the other side has one for moderation."""

from __future__ import annotations

from abc import ABC, abstractmethod

__all__ = ["Moderator"]


class Moderator(ABC):
    @abstractmethod
    async def moderate(self, text: str) -> dict[str, float]:
        """Category, in the other side's words, to a score from 0 to 1."""
