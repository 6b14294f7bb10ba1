"""``tool_choice`` in the dialects of several APIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parlant_local.errors import BadRequestError
from parlant_local.messages import Tool, shown

__all__ = ["chosen_tools"]


def chosen_tools(value: Any, tools: tuple[Tool, ...]) -> dict[str, Any]:
    """``tool_choice`` and ``tools`` from a choice in OpenAI's form (``allowed_tools`` included), Anthropic's or Mistral's.

    Raises :class:`BadRequestError` for a choice that matches no tool.
    """
    given, more = value, {}
    if isinstance(value, Mapping):
        if value.get("disable_parallel_tool_use"):
            more["parallel_tool_calls"] = False
        if value.get("type") == "allowed_tools":
            return chosen_tools(*_allowed(value, tools)) | more
        function = value.get("function")
        value = (function if isinstance(function, Mapping) else value).get("name") or value.get("type")
    choice = "required" if value == "any" and not any(tool.name == "any" for tool in tools) else value
    if choice in ("auto", "none") or (choice == "required" and tools) or any(tool.name == choice for tool in tools):
        return {"tool_choice": choice, "tools": tools, **more}
    names = ", ".join(tool.name for tool in tools) or "none given"
    raise BadRequestError(
        f"tool_choice {shown(given)!r} fits no tool.",
        hint=f"Use auto, none, required, or a tool's name ({shown(names)}).",
    )


def _allowed(value: Mapping[str, Any], tools: tuple[Tool, ...]) -> tuple[Any, tuple[Tool, ...]]:
    """OpenAI's list of tools that may be called, and whether one must be."""
    inner = value.get("allowed_tools", value)
    listed = inner.get("tools") if isinstance(inner, Mapping) else None
    if not isinstance(listed, Sequence) or not listed:
        raise BadRequestError("tool_choice of type allowed_tools needs a list of tools.")
    names = [Tool.from_openai(item).name for item in listed]
    if unknown := set(names) - {tool.name for tool in tools}:
        raise BadRequestError(
            f"tool_choice allows {shown(', '.join(sorted(unknown)))}, which is not among the tools of this call."
        )
    return inner.get("mode") or "auto", tuple(tool for tool in tools if tool.name in names)
