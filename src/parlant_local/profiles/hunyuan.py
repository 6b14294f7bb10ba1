"""Tencent's Hunyuan and Hy3: thoughts by effort, calls in keyed elements."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice

# Hy3's marks carry a suffix that its template shows, ":opensource" or none.
HY3 = Profile(
    name="hunyuan",
    source="sampling and efforts: models/tencent/Hy3.yaml in vllm-project/recipes; marks: its chat template in llama.cpp",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinking_on={"reasoning_effort": "high"},
    thinking_off={"reasoning_effort": "no_think"},
    efforts=((512, "low"), (8192, "high")),
    sampling=SamplingAdvice(temperature=0.9, top_p=1.0),
    template_marks=(("hy_Assistant", "reasoning_effort"),),
    architectures=frozenset({"hy_v3"}),
    names=("hy3",),
)

HUNYUAN = Profile(
    name="hunyuan",
    source="sampling: models/generation_config.json in Tencent-Hunyuan/Hunyuan-A13B; switch and marks: its README.md",
    reasoning=ReasoningTags("<think>", "</think>"),
    answer_tags=ReasoningTags("<answer>", "</answer>"),
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20),
    template_marks=(("<｜hy_User｜>",), ("<|startoftext|>", "<|extra_0|>")),
    architectures=frozenset({"hunyuan-dense", "hunyuan-moe"}),
    names=("hunyuan",),
)

PROFILES = (HY3, HUNYUAN)

FAMILY = Family("hunyuan", PROFILES)
