"""Model family profiles: reasoning tags, tool-call format, thinking switches, recommended sampling.

A family is identified by the chat template and the GGUF metadata, never by a size in a file name. One module per family
with everything about it; :func:`profile_of` picks one.
"""

from __future__ import annotations

from parlant_local.profiles.base import (
    CallIds,
    Family,
    KnownModel,
    Profile,
    ReasoningTags,
    SamplingAdvice,
    ToolFormat,
)
from parlant_local.profiles.detect import PROFILES, profile_of
from parlant_local.profiles.families import families
from parlant_local.profiles.templates import FIRST_SYSTEM, NamedTemplate

__all__ = [
    "FIRST_SYSTEM",
    "PROFILES",
    "CallIds",
    "Family",
    "KnownModel",
    "NamedTemplate",
    "Profile",
    "ReasoningTags",
    "SamplingAdvice",
    "ToolFormat",
    "families",
    "profile_of",
]
