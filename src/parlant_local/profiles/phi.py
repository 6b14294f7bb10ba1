"""Microsoft's Phi: role tokens, and the reasoning line that thinks in ``<think>``.

Its makers recommend no sampling but for the reasoning line (model cards of phi-4 and Phi-4-mini-instruct).
"""

from __future__ import annotations

from parlant_local.profiles.base import Family, KnownModel, Profile, ReasoningTags, SamplingAdvice
from parlant_local.profiles.templates import NamedTemplate

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

KNOWN = (
    KnownModel("phi3.5:3.8b", "bartowski/Phi-3.5-mini-instruct-GGUF", 3.82, 2.39, 32, 6144, 131072),
    KnownModel("phi4-mini:3.8b", "bartowski/microsoft_Phi-4-mini-instruct-GGUF", 3.84, 2.49, 32, 2048, 131072),
    KnownModel("phi4:14b", "bartowski/phi-4-GGUF", 14.7, 9.05, 40, 2560, 16384),
)

TEMPLATES = (
    NamedTemplate(
        "phi4",
        "{%- for message in messages -%}"
        "{{- '<|im_start|>' + message.role + '<|im_sep|>' + message.content + '<|im_end|>' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant<|im_sep|>' -}}{%- endif -%}",
        ends=("<|im_end|>", "<|im_start|>"),
        tokens=("<|im_start|>", "<|im_sep|>", "<|im_end|>"),
        aliases=("phi-4",),
    ),
    NamedTemplate(
        "phi3",
        "{%- for message in messages -%}"
        "{{- '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}",
        ends=("<|end|>", "<|user|>"),
        tokens=("<|user|>", "<|assistant|>", "<|end|>"),
        architectures=("phi3",),
        aliases=("phi-3",),
    ),
)

FAMILY = Family(
    "phi",
    PROFILES,
    rank=3,
    type="phi",
    called=r"\bphi\b|\bphi[-_]?\d",
    bodies=("phi",),
    known=KNOWN,
    templates=TEMPLATES,
)
