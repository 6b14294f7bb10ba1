"""Microsoft's Phi: role tokens, and the reasoning line that thinks in ``<think>``."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

# Phi-4-mini reads tools in its system message, and writes a JSON list between tokens (its model card).
PHI4_MINI = Profile(
    name="phi",
    tools="phi",
    sampling=SamplingAdvice(temperature=0.7, top_p=0.95),
    template_marks=(("<|tool|>", "<|/tool|>"),),
    names=("phi-4-mini-instruct",),
)

PHI_REASONING = Profile(
    name="phi",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=0.8, top_p=0.95),
    template_marks=(("<|assistant|>", "<|end|>", "<think>"), ("<|im_sep|>", "<think>")),
    names=("phi-4-reasoning", "phi-4-mini-reasoning"),
)

PHI = Profile(
    name="phi",
    sampling=SamplingAdvice(temperature=0.7, top_p=0.95),
    template_marks=(("<|assistant|>", "<|end|>"), ("<|im_sep|>",)),
    architectures=frozenset({"phi2", "phi3", "phimoe"}),
    names=("phi",),
)

PROFILES = (PHI_REASONING, PHI4_MINI, PHI)
