"""LG's EXAONE: bracketed roles; version 4 thinks when asked to."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice

EXAONE4 = Profile(
    name="exaone",
    source="README.md of LG-AI-EXAONE/EXAONE-4.0 (without thoughts: below 0.6)",
    tools="hermes",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.5),
    sampling_thinking=SamplingAdvice(temperature=0.6, top_p=0.95),
    template_marks=(("[|assistant|]", "<think>"),),
    architectures=frozenset({"exaone4", "exaone-moe"}),
    names=("exaone-4",),
)

EXAONE = Profile(
    name="exaone",
    template_marks=(("[|assistant|]",),),
    architectures=frozenset({"exaone"}),
    names=("exaone",),
)

PROFILES = (EXAONE4, EXAONE)

FAMILY = Family("exaone", PROFILES)
