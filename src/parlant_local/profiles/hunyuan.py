"""Tencent's Hunyuan and Hy3: thoughts by effort, calls in keyed elements."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

# Hy3's marks carry a suffix that its template shows. Efforts and marks: its chat template. Sampling of the dense Hunyuan
# models: their model cards.
HY3 = Profile(
    name="hunyuan",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinking_on={"reasoning_effort": "high"},
    thinking_off={"reasoning_effort": "no_think"},
    efforts=((512, "low"), (8192, "high")),
    template_marks=(("hy_Assistant", "reasoning_effort"),),
    names=("hy3",),
)

HUNYUAN = Profile(
    name="hunyuan",
    reasoning=ReasoningTags("<think>", "</think>"),
    answer_tags=ReasoningTags("<answer>", "</answer>"),
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20),
    template_marks=(("<｜hy_User｜>",), ("<|hy_User|>",), ("<|startoftext|>", "<|extra_0|>")),
    architectures=frozenset({"hunyuan-dense", "hunyuan-moe"}),
    names=("hunyuan",),
)

PROFILES = (HY3, HUNYUAN)
