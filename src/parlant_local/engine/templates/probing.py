"""Probe conversations: rendered in batches, with needles that identify their parts in the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ASK", "KEYS", "NAMES", "TOOL", "VALUES", "Conversation", "RenderAll", "answer", "calling", "turn"]

NAMES = ("called_tool", "second_tool", "third_tool")
KEYS = ("called_key", "other_key")
VALUES = ("called-value", "other-value")
IDS = ("needle001", "needle002", "needle003")

_MAX_TURN = 8_000  # characters; bounds the cost of comparing an untrusted template's output

ASK = {"role": "user", "content": "needle-user"}
TOOL = {
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


@dataclass(frozen=True, slots=True)
class Conversation:
    """One rendering."""

    messages: Sequence[Mapping[str, Any]]
    prompt: bool = False
    """Whether the generation prompt is added."""
    tools: bool = True
    arguments: Mapping[str, Any] = field(default_factory=dict)


RenderAll = Callable[[Sequence[Conversation]], list[str | None]]
"""The text of each conversation; None where the template failed on it."""


def answer(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def calling(*arguments: Any, content: Any = None, **more: Any) -> dict[str, Any]:
    """An assistant's message with one call for each of ``arguments``."""
    calls = [
        {"id": identifier, "type": "function", "function": {"name": name, "arguments": given}}
        for identifier, name, given in zip(IDS, NAMES, arguments, strict=False)
    ]
    return {"role": "assistant", "content": content, "tool_calls": calls, **more}


def turn(text: str | None) -> str | None:
    """The text after the user's message; None where that is not shown, or the rest is longer than any call."""
    if text is None or (at := text.rfind("needle-user")) < 0:
        return None
    behind = text[at + len("needle-user") :]
    return behind if len(behind) <= _MAX_TURN else None
