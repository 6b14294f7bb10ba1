"""What a model family is like: reasoning tags, tool-call format, how thinking is switched, recommended sampling.

A family is told from the chat template and the GGUF metadata, never from a size in a file name. One module per family,
each a small table; :func:`profile_of` picks one.
"""

from __future__ import annotations

from parlant_local.profiles.base import CallIds, Profile, ReasoningTags, SamplingAdvice, ToolFormat
from parlant_local.profiles.detect import PROFILES, profile_of

__all__ = ["PROFILES", "CallIds", "Profile", "ReasoningTags", "SamplingAdvice", "ToolFormat", "profile_of"]
