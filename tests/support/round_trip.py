"""What a template makes of an assistant's message, as the model would have written it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parlant_local.engine.templates import ChatTemplate
from parlant_local.messages import Message, Tool

__all__ = ["THINKING", "written"]

THINKING: Mapping[str, Any] = {"enable_thinking": True, "thinking": True}


def written(
    template: ChatTemplate, messages: Sequence[Message], tools: Sequence[Tool], arguments: Mapping[str, Any] = THINKING
) -> str:
    """The last message as it stands in the rendered conversation, behind what the prompt writes for the model."""
    whole = template.render(messages, tools, add_generation_prompt=False, arguments=arguments)
    prompt = template.render(messages[:-1], tools, add_generation_prompt=True, arguments=arguments)
    shared = 0
    while shared < min(len(whole), len(prompt)) and whole[shared] == prompt[shared]:
        shared += 1
    if shared < len(prompt) and (opened := whole.rfind("<", 0, shared)) > whole.rfind(">", 0, shared):
        shared = opened  # they part within a mark
    return whole[shared:]
