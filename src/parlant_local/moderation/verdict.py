"""The verdict on a text: seven tags, each with a probability."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

__all__ = ["MODERATION_TAGS", "Judge", "Tag", "Verdict"]

Tag = Literal["jailbreak", "harassment", "hate", "illicit", "self-harm", "sexual", "violence"]
MODERATION_TAGS: tuple[Tag, ...] = get_args(Tag)


@dataclass(frozen=True, slots=True)
class Verdict:
    probability: float
    """That the text is to be flagged, for whatever reason; some have no tag."""
    scores: Mapping[Tag, float | None]
    """The probability of every tag; ``None`` where it was not judged."""
    subcategories: Mapping[str, float] = field(default_factory=dict)
    """Finer ones in OpenAI's words, such as ``violence/graphic``, where they were judged."""

    def flagged(self, threshold: float) -> bool:
        return self.probability >= threshold

    def tags(self, threshold: float) -> list[Tag]:
        return [tag for tag in MODERATION_TAGS if (self.scores[tag] or 0.0) >= threshold]


class Judge(ABC):
    """One way to moderate a text."""

    @abstractmethod
    async def judge(self, text: str) -> Verdict:
        """Raises where the text can't be judged whole; a failure is never "not flagged"."""
