"""Google's Gemma: turns; before version 4 no system role and no tool syntax of its own."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

GEMMA4 = Profile(
    name="gemma",
    source="sampling: model card of gemma-4-31B-it; marks and switch: its chat template",
    reasoning=ReasoningTags("<|channel>thought", "<channel|>"),
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=64),
    template_marks=(("<|turn>", "<turn|>"),),
    architectures=frozenset({"gemma4"}),
    names=("gemma-4",),
)

GEMMA = Profile(
    name="gemma",
    source="sampling: generation_config.json of gemma-3-27b-it, and the Gemma team as Unsloth's guide to Gemma 3 quotes it",
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=64),
    template_marks=(("<start_of_turn>",),),
    architectures=frozenset({"gemma", "gemma2", "gemma3", "gemma3n"}),
    names=("gemma",),
)

PROFILES = (GEMMA4, GEMMA)
