"""The Swiss AI initiative's Apertus: calls as objects whose only key is the function's name."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice

APERTUS = Profile(
    name="apertus",
    source="sampling: model card of Apertus-8B-Instruct-2509; marks and switch: its chat template, in blocks of its own",
    reasoning=ReasoningTags("<|inner_prefix|>", "<|inner_suffix|>", call="<|tools_prefix|>"),
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.8, top_p=0.9),
    template_marks=(("<|assistant_start|>", "<|tools_prefix|>"),),
    architectures=frozenset({"apertus"}),
    names=("apertus",),
)

PROFILES = (APERTUS,)

FAMILY = Family("apertus", PROFILES)
