"""Cohere's Command: turns in tokens, thoughts and actions between marks."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice
from parlant_local.profiles.templates import NamedTemplate

_EXAMPLE = SamplingAdvice(temperature=0.3)

COMMAND_THINKING = Profile(
    name="command",
    source="sampling: as the makers' example, docs/source/en/model_doc/cohere.md in huggingface/transformers; marks: chat "
    "templates of Command R7B and Cohere2MoE; switch: that of Cohere2MoE",
    reasoning=ReasoningTags("<|START_THINKING|>", "<|END_THINKING|>"),
    thinking_on={"reasoning": True},
    thinking_off={"reasoning": False},
    sampling=_EXAMPLE,
    template_marks=(("<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|START_THINKING|>"),),
    architectures=frozenset({"cohere2moe"}),
)

COMMAND = Profile(
    name="command",
    source="sampling: as the makers' example, docs/source/en/model_doc/cohere.md in huggingface/transformers",
    sampling=_EXAMPLE,
    template_marks=(("<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"),),
    architectures=frozenset({"command-r", "cohere2"}),
    names=("c4ai-command", "command"),
)

PROFILES = (COMMAND_THINKING, COMMAND)

TEMPLATES = (
    NamedTemplate(
        "command-r",
        "{{- bos_token -}}{%- for message in messages -%}"
        "{%- set role = {'user': 'USER', 'system': 'SYSTEM', 'assistant': 'CHATBOT'}[message.role] -%}"
        "{{- '<|START_OF_TURN_TOKEN|><|' + role + '_TOKEN|>' + message.content + '<|END_OF_TURN_TOKEN|>' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' -}}{%- endif -%}",
        ends=("<|END_OF_TURN_TOKEN|>", "<|START_OF_TURN_TOKEN|>"),
        tokens=("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        architectures=("command-r", "cohere2"),
    ),
)

FAMILY = Family("command", PROFILES, templates=TEMPLATES)
