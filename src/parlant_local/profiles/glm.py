"""Zhipu's GLM: calls with a key and a value element for each argument; 4.5 and later think unless told not to."""

from __future__ import annotations

from dataclasses import replace

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice
from parlant_local.profiles.templates import NamedTemplate

GLM_THINKING = Profile(
    name="glm",
    source="sampling: generation_config.json of GLM-4.6, GLM-4.7 and GLM-5, evaluations in their model cards; switch: their "
    "chat templates; efforts: models/zai-org/GLM-5.2.yaml in vllm-project/recipes, which earlier templates don't read",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    efforts=((8192, "high"), (32768, "max")),
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95),
    template_marks=(("[gMASK]", "<|observation|>", "<think>"),),
    architectures=frozenset({"glm4moe", "glm-dsa"}),
    names=("glm-4.6", "glm-4.7", "glm-5"),
)

GLM45 = replace(
    GLM_THINKING,
    source="sampling: the makers' API reference (chat completion, series GLM-4.5); else as GLM-4.6",
    sampling=SamplingAdvice(temperature=0.6, top_p=0.95),
    architectures=frozenset(),
    named=True,
    names=("glm-4.5",),
)

GLM = Profile(
    name="glm",
    template_marks=(("[gMASK]", "<|observation|>"), ("[gMASK]", "<sop>")),
    architectures=frozenset({"glm4", "chatglm"}),
    names=("glm", "chatglm"),
)

PROFILES = (GLM45, GLM_THINKING, GLM)

TEMPLATES = (
    NamedTemplate(
        "glm4",
        "{{- '[gMASK]<sop>' -}}{%- for message in messages -%}"
        "{{- '<|' + message.role + '|>\\n' + message.content -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}",
        ends=("<|user|>", "<|observation|>"),
        tokens=("[gMASK]", "<|user|>", "<|assistant|>"),
        architectures=("chatglm", "glm4"),
    ),
)

FAMILY = Family("glm", PROFILES, templates=TEMPLATES)
