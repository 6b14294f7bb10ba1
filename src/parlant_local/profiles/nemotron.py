"""NVIDIA's Nemotron Nano: thinks unless told not to; version 3 writes calls in tags, version 2 a JSON list."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice

_THINK = ReasoningTags("<think>", "</think>")

NEMOTRON3 = Profile(
    name="nemotron",
    source="sampling and switch: model card of NVIDIA-Nemotron-3-Nano-30B-A3B (0.6, 0.95 for calls of tools)",
    reasoning=_THINK,
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=1.0, top_p=1.0),
    template_marks=(("truncate_history_thinking", "<|im_start|>"),),
    architectures=frozenset({"nemotron_h_moe"}),
    names=("nemotron-3", "nvidia-nemotron-3"),
)

NEMOTRON2 = Profile(
    name="nemotron",
    source="sampling: model card of NVIDIA-Nemotron-Nano-9B-v2; marks: its chat template",
    reasoning=_THINK,
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=0.6, top_p=0.95),
    template_marks=(("<SPECIAL_11>", "<SPECIAL_12>"),),
    architectures=frozenset({"nemotron_h"}),
    names=("nemotron", "nvidia-nemotron"),
)

PROFILES = (NEMOTRON3, NEMOTRON2)

FAMILY = Family("nemotron", PROFILES)
