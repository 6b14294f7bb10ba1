"""Liquid AI's LFM2: calls as a Python list after a token of their own, which older templates don't show."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, SamplingAdvice

LFM25 = Profile(
    name="lfm",
    source="sampling: LiquidAI/LFM2.5.md in vllm-project/recipes, from the model card of LFM2.5-1.2B-Instruct",
    tools="lfm",
    sampling=SamplingAdvice(temperature=0.1, top_k=50),
    template_marks=(
        ("<|im_start|>", "List of tools: ", "keep_past_thinking"),
        ("<|im_start|>", "List of tools: ", "preserve_thinking"),
    ),
    names=("lfm2.5",),
)

LFM = Profile(
    name="lfm",
    source="sampling and calls: model cards of LFM2",
    tools="lfm",
    sampling=SamplingAdvice(temperature=0.3, min_p=0.15),
    template_marks=(("<|im_start|>", "List of tools: "),),
    architectures=frozenset({"lfm2", "lfm2moe"}),
    names=("lfm2",),
)

PROFILES = (LFM25, LFM)

FAMILY = Family("lfm", PROFILES)
