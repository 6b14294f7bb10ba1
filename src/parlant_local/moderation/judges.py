"""Which judge a model is: told by its name, and the same wherever a text comes from."""

from __future__ import annotations

import re

from parlant_local.backends.base import Backend
from parlant_local.backends.moderator import Moderator
from parlant_local.moderation.endpoint import EndpointJudge
from parlant_local.moderation.guards import GuardJudge, guard_of
from parlant_local.moderation.prompted import PromptedJudge
from parlant_local.moderation.verdict import Judge

__all__ = ["judge_of"]

_FOR_THE_CALL = re.compile(r"(omni|text)-moderation")
"""Names of models that endpoints have for their moderation call alone."""


def judge_of(backend: Backend) -> Judge:
    """By the endpoint's own call, by the family's own prompt, or else by the question that any chat model takes."""
    info = backend.model_info()
    if isinstance(backend, Moderator) and _FOR_THE_CALL.search(f"{info.id} {info.name}"):
        return EndpointJudge(backend)
    if (guard := guard_of(info)) is not None:
        return GuardJudge(backend, guard)
    return PromptedJudge(backend)
