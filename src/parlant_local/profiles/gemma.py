"""Google's Gemma: turns; before version 4 no system role and no tool syntax of its own."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

# Gemma 4 thinks when asked to (its chat template); sampling as for Gemma 3, by their model cards.
GEMMA4 = Profile(
    name="gemma",
    reasoning=ReasoningTags("<|channel>thought", "<channel|>"),
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=64),
    template_marks=(("<|turn>", "<turn|>"),),
    architectures=frozenset({"gemma4"}),
)

GEMMA = Profile(
    name="gemma",
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=64),
    template_marks=(("<start_of_turn>",),),
    architectures=frozenset({"gemma", "gemma2", "gemma3", "gemma3n"}),
    names=("gemma",),
)

PROFILES = (GEMMA4, GEMMA)
