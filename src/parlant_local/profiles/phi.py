"""Microsoft's Phi: role tokens, and the reasoning line that thinks in ``<think>``.

Its makers recommend no sampling but for the reasoning line (model cards of phi-4 and Phi-4-mini-instruct).
"""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

_THINK = ReasoningTags("<think>", "</think>")

# Phi-4-mini reads tools in its system message, and writes a JSON list between tokens.
PHI4_MINI = Profile(
    name="phi",
    source="calls: model card of Phi-4-mini-instruct",
    tools="phi",
    template_marks=(("<|tool|>", "<|/tool|>"),),
    names=("phi-4-mini-instruct",),
)

PHI_REASONING = Profile(
    name="phi",
    source="sampling: model card and generation_config.json of Phi-4-reasoning",
    reasoning=_THINK,
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=0.8, top_p=0.95, top_k=50),
    template_marks=(("<|im_sep|>", "<think>"),),
    names=("phi-4-reasoning",),
)

PHI_MINI_REASONING = Profile(
    name="phi",
    source="sampling: model card of Phi-4-mini-reasoning",
    reasoning=_THINK,
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=0.8, top_p=0.95),
    template_marks=(("<|assistant|>", "<|end|>", "<think>"),),
    names=("phi-4-mini-reasoning",),
)

PHI = Profile(
    name="phi",
    template_marks=(("<|assistant|>", "<|end|>"), ("<|im_sep|>",)),
    architectures=frozenset({"phi2", "phi3", "phimoe"}),
    names=("phi",),
)

PROFILES = (PHI_REASONING, PHI_MINI_REASONING, PHI4_MINI, PHI)
