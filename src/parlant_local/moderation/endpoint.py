"""Endpoints with a moderation API of their own, such as OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override

from parlant_local.backends.moderator import Moderator
from parlant_local.moderation.verdict import MODERATION_TAGS, Judge, Tag, Verdict

__all__ = ["EndpointJudge"]

_TAGS: Mapping[str, Tag] = {
    "harassment": "harassment",
    "hate": "hate",
    "illicit": "illicit",
    "self-harm": "self-harm",
    "self_harm": "self-harm",
    "sexual": "sexual",
    "violence": "violence",
}


class EndpointJudge(Judge):
    def __init__(self, moderator: Moderator) -> None:
        self._moderator = moderator

    @override
    async def judge(self, text: str) -> Verdict:
        found = await self._moderator.moderate(text)
        scores: dict[Tag, float | None] = dict.fromkeys(MODERATION_TAGS)
        for category, score in found.items():
            # "harassment/threatening" belongs to "harassment".
            if (tag := _TAGS.get(category.partition("/")[0])) is not None:
                scores[tag] = max(scores[tag] or 0.0, score)
        finer = {category: score for category, score in found.items() if "/" in category}
        return Verdict(max(found.values(), default=0.0), scores, finer)
