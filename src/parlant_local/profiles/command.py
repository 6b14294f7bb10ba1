"""Cohere's Command: turns in tokens, thoughts and actions between marks."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, SamplingAdvice

# Sampling: Cohere's default (0.3), https://docs.cohere.com/reference/chat.
COMMAND = Profile(
    name="command",
    sampling=SamplingAdvice(temperature=0.3),
    template_marks=(("<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"),),
    architectures=frozenset({"command-r", "cohere2", "cohere2moe"}),
    names=("c4ai-command", "command"),
)

PROFILES = (COMMAND,)
