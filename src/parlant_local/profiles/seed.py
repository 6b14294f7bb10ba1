"""ByteDance's Seed-OSS: marks of its own around thoughts and calls, and a budget for thoughts."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice

# A budget of 0 tokens switches its thoughts off.
SEED_OSS = Profile(
    name="seed",
    source="sampling: README.md of ByteDance-Seed/seed-oss; marks and budget: its chat template",
    reasoning=ReasoningTags("<seed:think>", "</seed:think>"),
    thinks_unasked=True,
    thinking_off={"thinking_budget": 0},
    sampling=SamplingAdvice(temperature=1.1, top_p=0.95),
    template_marks=(("<seed:think>",), ("<seed:bos>",)),
    architectures=frozenset({"seed_oss"}),
    names=("seed-oss",),
)

PROFILES = (SEED_OSS,)

FAMILY = Family("seed", PROFILES)
