"""Mistral AI: instruction brackets, ``[TOOL_CALLS]``, and Magistral's bracketed thoughts."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

MAGISTRAL = Profile(
    name="mistral",
    tools="mistral",
    call_ids="short",
    reasoning=ReasoningTags("[THINK]", "[/THINK]"),
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=0.7, top_p=0.95),
    template_marks=(("[INST]", "[THINK]"),),
    names=("magistral",),
)

MISTRAL = Profile(
    name="mistral",
    tools="mistral",
    call_ids="short",
    sampling=SamplingAdvice(temperature=0.3),
    template_marks=(("[INST]", "[TOOL_CALLS]"), ("[INST]", "[/INST]")),
    architectures=frozenset({"mistral", "mistral3"}),
    names=("mistral", "mixtral", "ministral", "codestral", "devstral"),
)

PROFILES = (MAGISTRAL, MISTRAL)
