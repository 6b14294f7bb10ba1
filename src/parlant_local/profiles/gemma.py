"""Google's Gemma: turns, no system role, no tool syntax of its own."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, SamplingAdvice

GEMMA = Profile(
    name="gemma",
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=64),
    template_marks=(("<start_of_turn>",),),
    architectures=frozenset({"gemma", "gemma2", "gemma3", "gemma3n"}),
    names=("gemma",),
)

PROFILES = (GEMMA,)
