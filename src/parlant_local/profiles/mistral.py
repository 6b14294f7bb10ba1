"""Mistral AI: instruction brackets, ``[TOOL_CALLS]``, and Magistral's bracketed thoughts."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

MAGISTRAL = Profile(
    name="mistral",
    source="sampling: model cards of Magistral-Small-2506 and Ministral-3-14B-Reasoning-2512; marks: their chat templates",
    tools="mistral",
    call_ids="short",
    reasoning=ReasoningTags("[THINK]", "[/THINK]"),
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=0.7, top_p=0.95),
    template_marks=(("[INST]", "[THINK]"),),
    names=("magistral",),
)

MISTRAL3 = Profile(
    name="mistral",
    source="sampling: model card of Mistral-Small-3.2-24B-Instruct-2506; Mistral/Ministral-3-Instruct.md in vllm-project/recipes",
    tools="mistral",
    call_ids="short",
    sampling=SamplingAdvice(temperature=0.15),
    template_marks=(("[INST]", "[SYSTEM_PROMPT]"),),
    architectures=frozenset({"mistral3"}),
    names=("ministral-3", "devstral"),
)

NEMO = Profile(
    name="mistral",
    source="sampling: model card of Mistral-Nemo-Instruct-2407",
    tools="mistral",
    call_ids="short",
    sampling=SamplingAdvice(temperature=0.3),
    template_marks=(("[INST]", "[/INST]"),),
    named=True,
    names=("mistral-nemo",),
)

MISTRAL = Profile(
    name="mistral",
    tools="mistral",
    call_ids="short",
    template_marks=(("[INST]", "[TOOL_CALLS]"), ("[INST]", "[/INST]")),
    names=("mistral", "mixtral", "ministral", "codestral"),
)

PROFILES = (MAGISTRAL, MISTRAL3, NEMO, MISTRAL)
