"""Cohere's Command: turns in tokens, thoughts and actions between marks."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

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
