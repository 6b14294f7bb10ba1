"""What a chat template can express, found out by rendering small conversations and looking for what was put in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parlant_local.errors import TemplateError, TemplateLimitError

__all__ = ["Capabilities", "probe"]

_USER = {"role": "user", "content": "needle-user"}
_TOOL = {
    "type": "function",
    "function": {
        "name": "needle_tool",
        "description": "needle-description",
        "parameters": {
            "type": "object",
            "properties": {"needle_key": {"type": "string", "description": "needle-key"}},
            "required": ["needle_key"],
        },
    },
}
_RESULT = {"role": "tool", "name": "called_tool", "tool_call_id": "needle001", "content": "needle-result"}
# The key as JSON writes it: not Python's quotes, not a string inside a string.
_JSON_KEY = re.compile(r'(?<!\\)"called_key"\s*:')

Render = Callable[[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]] | None], str]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What survives rendering."""

    system: bool
    """A system message at the start."""
    late_systems: bool
    """Further system messages in the middle of a conversation."""
    tools: bool
    """Descriptions of tools."""
    tool_calls: bool
    """Calls that the assistant made."""
    tool_results: bool
    object_arguments: bool
    """Call arguments are wanted as an object; else as JSON text."""
    null_content: bool
    """A message that is only calls has null content; else an empty text."""


def probe(render: Render, *, with_tools: bool) -> Capabilities:
    """Renders about eight conversations, ``with_tools`` or without. A template that fails on one can't express it.

    A template that breaks a limit is not tried again: that error is raised.
    """
    tools = [_TOOL] if with_tools else None

    def text_of(*messages: Mapping[str, Any]) -> str | None:
        try:
            return render(messages, tools)
        except TemplateLimitError:
            raise
        except TemplateError:
            return None

    def shows(needles: Sequence[str], *messages: Mapping[str, Any]) -> bool:
        text = text_of(*messages)
        return text is not None and all(needle in text for needle in needles)

    system = {"role": "system", "content": "needle-system"}
    late = {"role": "system", "content": "needle-late"}
    answer = {"role": "assistant", "content": "needle-answer"}
    calls, as_object, as_null = _probe_calls(text_of)
    return Capabilities(
        system=shows(["needle-system"], system, _USER),
        late_systems=shows(["needle-system", "needle-late"], system, _USER, answer, late, _USER),
        tools=with_tools and shows(["needle_tool"], _USER),
        tool_calls=calls,
        tool_results=shows(["needle-result"], _USER, _call(as_object, as_null) if calls else answer, _RESULT),
        object_arguments=as_object,
        null_content=as_null,
    )


def _call(as_object: bool, as_null: bool) -> dict[str, Any]:
    arguments: Any = {"called_key": "called-value"} if as_object else '{"called_key": "called-value"}'
    return {
        "role": "assistant",
        "content": None if as_null else "",
        "tool_calls": [
            {"id": "needle001", "type": "function", "function": {"name": "called_tool", "arguments": arguments}}
        ],
    }


def _probe_calls(text_of: Callable[..., str | None]) -> tuple[bool, bool, bool]:
    """Whether calls are rendered, and with which form of arguments and content."""
    for as_object in (True, False):
        for as_null in (True, False):
            call = _call(as_object, as_null)
            text = text_of(_USER, call, _RESULT, {"role": "user", "content": "needle-more"})
            if text is None:  # some templates want user and assistant to alternate strictly
                text = text_of(_USER, call, _RESULT)
            if text is not None and "called_tool" in text and _JSON_KEY.search(text):
                return True, as_object, as_null
    return False, True, False
