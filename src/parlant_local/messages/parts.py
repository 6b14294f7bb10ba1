"""What a part of a message is: the names that clients have for text, thoughts, calls and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ASIDE",
    "CALLS",
    "CALLS_WITH_RESULTS",
    "REFUSALS",
    "RESULTS",
    "SEALED",
    "STEP",
    "TEXTS",
    "THOUGHTS",
    "kind_of",
    "typed",
]

TEXTS = frozenset({"text", "input_text", "output_text", "summary_text"})
REFUSALS = frozenset({"refusal"})
THOUGHTS = frozenset({"thinking", "think", "reasoning", "reasoning_text", "reasoning_content", "reasoning.text",
                      "reasoning.summary"})  # fmt: skip
SEALED = frozenset({"redacted_thinking", "reasoning.encrypted"})  # only who wrote them can read them
CALLS = frozenset({"tool_use", "tool_call", "tool-call", "function_call"})
RESULTS = frozenset({"tool_result", "tool-result", "function_call_output"})
CALLS_WITH_RESULTS = frozenset({"tool-invocation", "dynamic-tool"})
"""The AI SDK's: a call, and its result once there is one."""
ASIDE = frozenset({"error", "agent_update", "source", "source-url", "source-document"})
"""What clients show beside an answer, and don't send on themselves."""
STEP = "step-start"
"""The AI SDK's: what follows is another message of the same turn."""


def kind_of(part: Any) -> str | None:
    """What a part is; ``None`` where that is no name."""
    kind = typed(part).get("type") if isinstance(part, Mapping) else None
    return kind if isinstance(kind, str) else None


def typed(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part under the name of what it is: Gemini's have none, and the AI SDK puts a tool's own name into it."""
    kind = part.get("type")
    if (
        isinstance(kind, str)
        and kind.startswith("tool-")
        and "toolCallId" in part
        and kind not in CALLS | RESULTS | CALLS_WITH_RESULTS
    ):
        return {**part, "type": "dynamic-tool", "toolName": kind.removeprefix("tool-")}
    if kind == "tool-invocation" and isinstance(inner := part.get("toolInvocation"), Mapping):
        return {**inner, **{name: part[name] for name in part if name != "toolInvocation"}}
    if kind is not None:
        return part
    for key, meaning in _GEMINIS.items():
        if isinstance(inner := part.get(key), Mapping):
            whose = {"call_id": inner["id"]} if inner.get("id") is not None else {}
            return {**inner, **whose, **{name: part[name] for name in part if name != key}, "type": meaning}
    if "text" in part:
        return {**part, "type": "thinking" if part.get("thought") is True else "text"}
    return part


_GEMINIS = {
    "functionCall": "tool_call",
    "function_call": "tool_call",
    "functionResponse": "tool_result",
    "function_response": "tool_result",
}
