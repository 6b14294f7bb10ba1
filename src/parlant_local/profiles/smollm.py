"""Hugging Face's SmolLM: version 3 thinks unless told not to."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice

SMOLLM3 = Profile(
    name="smollm",
    source="sampling: model card of SmolLM3-3B; switch: its chat template",
    tools="hermes",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.6, top_p=0.95),
    template_marks=(("<|im_start|>", "SmolLM", "/no_think"),),
    architectures=frozenset({"smollm3"}),
)

SMOLLM = Profile(
    name="smollm",
    source="sampling: as the example in the model cards of the SmolLM2 Instruct models",
    tools="hermes",
    sampling=SamplingAdvice(temperature=0.2, top_p=0.9),
    template_marks=(("<|im_start|>", "SmolLM"),),
    names=("smollm",),
)

PROFILES = (SMOLLM3, SMOLLM)

FAMILY = Family("smollm", PROFILES)
