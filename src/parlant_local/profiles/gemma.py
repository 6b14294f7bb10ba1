"""Google's Gemma: turns; before version 4 no system role and no tool syntax of its own."""

from __future__ import annotations

from parlant_local.profiles.base import Family, KnownModel, Profile, ReasoningTags, SamplingAdvice
from parlant_local.profiles.templates import FIRST_SYSTEM, NamedTemplate

GEMMA4 = Profile(
    name="gemma",
    source="sampling: model card of gemma-4-31B-it; marks and switch: its chat template",
    reasoning=ReasoningTags("<|channel>thought", "<channel|>"),
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=64),
    template_marks=(("<|turn>", "<turn|>"),),
    architectures=frozenset({"gemma4"}),
    names=("gemma-4",),
)

GEMMA = Profile(
    name="gemma",
    source="sampling: generation_config.json of gemma-3-27b-it, and the Gemma team as Unsloth's guide to Gemma 3 quotes it",
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=64),
    template_marks=(("<start_of_turn>",),),
    architectures=frozenset({"gemma", "gemma2", "gemma3", "gemma3n"}),
    names=("gemma",),
)

PROFILES = (GEMMA4, GEMMA)

KNOWN = (
    KnownModel("gemma2:2b", "bartowski/gemma-2-2b-it-GGUF", 2.61, 1.71, 26, 2048, 8192),
    KnownModel("gemma2:9b", "bartowski/gemma-2-9b-it-GGUF", 9.24, 5.76, 42, 4096, 8192),
    KnownModel("gemma3:1b", "ggml-org/gemma-3-1b-it-GGUF", 1.0, 0.81, 26, 512, 32768),
    KnownModel("gemma3:4b", "ggml-org/gemma-3-4b-it-GGUF", 3.88, 2.49, 34, 2048, 131072),
    KnownModel("gemma3:12b", "ggml-org/gemma-3-12b-it-GGUF", 11.8, 7.3, 48, 4096, 131072),
    KnownModel("gemma3:27b", "ggml-org/gemma-3-27b-it-GGUF", 27.0, 16.5, 62, 4096, 131072),
)

TEMPLATES = (
    NamedTemplate(
        "gemma",
        FIRST_SYSTEM + "{{- bos_token -}}{%- for message in rest -%}"
        "{%- set head = system + '\\n\\n' if loop.first and system else '' -%}"
        "{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' "
        "+ head + message.content | trim + '<end_of_turn>\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}",
        ends=("<end_of_turn>", "<start_of_turn>"),
        tokens=("<start_of_turn>", "<end_of_turn>"),
        architectures=("gemma", "gemma2", "gemma3"),
    ),
)

FAMILY = Family(
    "gemma", PROFILES, rank=3, type="gemma", called=r"gemma", bodies=("gemma",), known=KNOWN, templates=TEMPLATES
)
