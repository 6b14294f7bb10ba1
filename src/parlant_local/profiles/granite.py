"""IBM's Granite: role markers, a JSON list after ``<|tool_call|>``, thoughts and answer each in tags."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

GRANITE_THINKING = Profile(
    name="granite",
    tools="granite",
    reasoning=ReasoningTags("<think>", "</think>"),
    answer_tags=ReasoningTags("<response>", "</response>"),
    thinking_on={"thinking": True},
    thinking_off={"thinking": False},
    sampling=SamplingAdvice(temperature=0.0),
    template_marks=(("<|start_of_role|>", "thinking"),),
)

GRANITE = Profile(
    name="granite",
    tools="granite",
    sampling=SamplingAdvice(temperature=0.0),
    template_marks=(("<|start_of_role|>",),),
    architectures=frozenset({"granite", "granitemoe", "granitehybrid"}),
    names=("granite",),
)

PROFILES = (GRANITE_THINKING, GRANITE)
