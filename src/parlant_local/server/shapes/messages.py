"""Requests of Anthropic's Messages API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from parlant_local.server.shapes.chat import ChatMessage, Effort, Part, Sampling, Thinking, ToolChoiceShape, ToolShape
from parlant_local.server.shapes.common import Listed, Request

__all__ = ["CountRequest", "MessagesRequest"]


class Metadata(Request):
    user_id: str | None = None
    """As ``user`` of a chat."""


class JsonOutput(Request):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Request):
    effort: Effort | None = None
    """How long a model thinks that was told to, where ``thinking`` names no budget."""
    format: JsonOutput | None = None


class _Conversation(Sampling):
    messages: Listed[ChatMessage] = Field(min_length=1)
    system: str | Listed[str | Part] | None = None
    tools: Listed[ToolShape] | None = None
    """Of the client; Anthropic's own (web search, code execution, …) are refused by name."""
    tool_choice: ToolChoiceShape | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None


class MessagesRequest(_Conversation):
    stop_sequences: Listed[str] | None = None
    metadata: Metadata | None = None


class CountRequest(_Conversation):
    """The same conversation; what only shapes its answer is not used."""
