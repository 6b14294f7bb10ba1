"""Mistral AI: instruction brackets, ``[TOOL_CALLS]``, and Magistral's bracketed thoughts."""

from __future__ import annotations

from parlant_local.profiles.base import Family, KnownModel, Profile, ReasoningTags, SamplingAdvice
from parlant_local.profiles.templates import FIRST_SYSTEM, NamedTemplate

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

KNOWN = (
    KnownModel("mistral:7b", "bartowski/Mistral-7B-Instruct-v0.3-GGUF", 7.25, 4.37, 32, 2048, 32768),
    KnownModel("mistral-nemo:12b", "bartowski/Mistral-Nemo-Instruct-2407-GGUF", 12.2, 7.48, 40, 2048, 131072),
    KnownModel("mistral-small:24b", "bartowski/Mistral-Small-24B-Instruct-2501-GGUF", 23.6, 14.3, 40, 2048, 32768),
)

TEMPLATES = (
    NamedTemplate(
        "mistral",
        FIRST_SYSTEM + "{{- bos_token -}}{%- for message in rest -%}"
        "{%- if message.role == 'user' -%}"
        "{%- set head = system + '\\n\\n' if loop.first and system else '' -%}"
        "{{- '[INST] ' + head + message.content + ' [/INST]' -}}"
        "{%- else -%}{{- ' ' + message.content + eos_token -}}{%- endif -%}"
        "{%- endfor -%}",
        ends=("[INST]",),
        tokens=("[INST]", "[/INST]"),
        called=("mistral", "mixtral"),
        aliases=("mistral-instruct",),
    ),
)

FAMILY = Family(
    "mistral",
    PROFILES,
    rank=3,
    type="mistral",
    called=r"mistral|mixtral|ministral|codestral|devstral|magistral|mathstral|pixtral",
    bodies=("mistral",),
    known=KNOWN,
    templates=TEMPLATES,
)
