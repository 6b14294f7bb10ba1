"""Baidu's ERNIE 4.5: plain roles between sentence marks; its thinking variant opens its thoughts in the prompt."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, SamplingAdvice

# Sampling: the model card of ERNIE-4.5 (temperature 0.8, top_p 0.8).
ERNIE = Profile(
    name="ernie",
    sampling=SamplingAdvice(temperature=0.8, top_p=0.8),
    template_marks=(("<|begin_of_sentence|>", "<|end_of_sentence|>"),),
    architectures=frozenset({"ernie4_5", "ernie4_5-moe"}),
    names=("ernie",),
)

PROFILES = (ERNIE,)
