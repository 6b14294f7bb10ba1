"""Backends whose endpoint has a moderation API of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod

__all__ = ["Moderator"]


class Moderator(ABC):
    @abstractmethod
    async def moderate(self, text: str) -> dict[str, float]:
        """Category, as the endpoint names it, to a score from 0 to 1."""
