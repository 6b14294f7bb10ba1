"""IBM's Granite: role markers, a JSON list after ``<|tool_call|>``, thoughts and answer each in tags.

Its makers recommend no sampling (model cards and generation_config.json of granite-3.3-8b-instruct and granite-4.0-h-small).
"""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags
from parlant_local.profiles.templates import NamedTemplate

GRANITE_THINKING = Profile(
    name="granite",
    source="marks and switch: chat template of granite-3.3-2b-instruct",
    tools="granite",
    reasoning=ReasoningTags("<think>", "</think>"),
    answer_tags=ReasoningTags("<response>", "</response>"),
    thinking_on={"thinking": True},
    thinking_off={"thinking": False},
    template_marks=(("<|start_of_role|>", "thinking"),),
)

GRANITE = Profile(
    name="granite",
    tools="granite",
    template_marks=(("<|start_of_role|>",),),
    architectures=frozenset({"granite", "granitemoe", "granitehybrid"}),
    names=("granite",),
)

PROFILES = (GRANITE_THINKING, GRANITE)

TEMPLATES = (
    NamedTemplate(
        "granite",
        "{%- for message in messages -%}"
        "{{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + '<|end_of_text|>\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|start_of_role|>assistant<|end_of_role|>' -}}{%- endif -%}",
        ends=("<|end_of_text|>", "<|start_of_role|>"),
        tokens=("<|start_of_role|>", "<|end_of_role|>"),
        architectures=("granite",),
    ),
)

FAMILY = Family("granite", PROFILES, templates=TEMPLATES)
