"""Unwraps message formats of other clients: LangChain's storage format, the AI SDK's duplicated content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["content_in", "unwrapped"]

_BESIDE = ("tool_calls", "function_call", "reasoning_content", "reasoning", "refusal")


def unwrapped(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """LangChain's messages in its storage format, with what it keeps in ``additional_kwargs``."""
    if "role" not in data:
        if isinstance(inner := data.get("data"), Mapping):
            data = {**inner, "type": data.get("type")}
        elif data.get("type") == "constructor" and isinstance(inner := data.get("kwargs"), Mapping):
            named = data.get("id")
            data = {"type": named[-1] if isinstance(named, list) and named else None, **inner}
    beside = data.get("additional_kwargs")
    if isinstance(beside, Mapping):
        kept = {name: beside[name] for name in _BESIDE if beside.get(name) and not data.get(name)}
        if data.get("tool_calls"):
            kept.pop("function_call", None)
        data = {**data, **kept}
    return data


def content_in(data: Mapping[str, Any]) -> Any:
    """The AI SDK sends content twice: in ``parts`` with calls, in ``content`` without them."""
    content, parts = data.get("content"), data.get("parts")
    if not parts and isinstance(invoked := data.get("toolInvocations"), list):
        parts = [{"type": "tool-invocation", "toolInvocation": item} for item in invoked]
    if not parts or not isinstance(parts, list):
        return content if content is not None else parts
    told = any(isinstance(part, str) or (isinstance(part, Mapping) and part.get("text")) for part in parts)
    return [*parts, content] if isinstance(content, str) and content and not told else parts
