"""Which judge fits a model: decided by its name, the same for Parlant and HTTP."""

from __future__ import annotations

import re

from parlant_local.backends.base import Backend
from parlant_local.backends.moderator import Moderator
from parlant_local.moderation.endpoint import EndpointJudge
from parlant_local.moderation.guards import GuardJudge, guard_of
from parlant_local.moderation.prompted import PromptedJudge
from parlant_local.moderation.verdict import Judge

__all__ = ["judge_of"]

_MODERATION_MODEL = re.compile(r"(omni|text)-moderation")
"""Names of models that serve only an endpoint's moderation API."""


def judge_of(backend: Backend) -> Judge:
    """The endpoint's own API, the guard family's prompt, or else the prompt that any chat model understands."""
    info = backend.model_info()
    if isinstance(backend, Moderator) and _MODERATION_MODEL.search(f"{info.id} {info.name}"):
        return EndpointJudge(backend)
    if (guard := guard_of(info)) is not None:
        return GuardJudge(backend, guard)
    return PromptedJudge(backend)
