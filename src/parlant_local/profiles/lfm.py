"""Liquid AI's LFM2: calls as a Python list after a token of their own, which older templates don't show."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, SamplingAdvice

# Calls and sampling: the model cards of LFM2 and LFM2.5 (temperature 0.3, min_p 0.15).
LFM = Profile(
    name="lfm",
    tools="lfm",
    sampling=SamplingAdvice(temperature=0.3, min_p=0.15),
    template_marks=(("<|im_start|>", "List of tools: "),),
    architectures=frozenset({"lfm2", "lfm2moe"}),
    names=("lfm2",),
)

PROFILES = (LFM,)
