"""Texts moderated by a model of the owner's choice. Knows no Parlant, so that the server judges as the host's moderation does."""

from __future__ import annotations

from parlant_local.moderation.endpoint import EndpointJudge
from parlant_local.moderation.judges import judge_of
from parlant_local.moderation.prompted import PromptedJudge
from parlant_local.moderation.verdict import MODERATION_TAGS, Judge, Tag, Verdict

__all__ = ["MODERATION_TAGS", "EndpointJudge", "Judge", "PromptedJudge", "Tag", "Verdict", "judge_of"]
