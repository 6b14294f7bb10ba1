"""Requests of OpenAI's Responses API."""

from __future__ import annotations

from typing import Any, Literal

from parlant_local.server.shapes.chat import (
    Alternatives,
    ChatMessage,
    Effort,
    FormatShape,
    MaxTokens,
    Sampling,
    ToolChoiceShape,
    ToolShape,
)
from parlant_local.server.shapes.common import Listed, Request

__all__ = ["InputTokensRequest", "ResponsesRequest"]


class TextConfig(Request):
    format: FormatShape | None = None


class ReasoningConfig(Request):
    effort: Effort | None = None


class _Question(Sampling):
    input: str | Listed[ChatMessage] | None = None
    """A user's text, or items: messages, calls (``function_call``), their results (``function_call_output``) and thoughts
    (``reasoning``)."""
    instructions: str | None = None
    """A system message in front, for this response only."""
    previous_response_id: str | None = None
    """A response that is kept: its conversation goes before ``input``."""
    tools: Listed[ToolShape] | None = None
    """Functions; OpenAI's own tools (web search, files, computers, …) are refused by name."""
    tool_choice: str | ToolChoiceShape | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    conversation: Any = None
    """Rejected."""
    prompt: Any = None
    """Rejected: a template that OpenAI keeps."""


class ResponsesRequest(_Question):
    max_output_tokens: MaxTokens | None = None
    top_logprobs: Alternatives | None = None
    include: Listed[str] | None = None
    """``message.output_text.logprobs``; others say nothing here."""
    store: bool | None = None
    """Whether it is kept for ``previous_response_id`` and ``GET``. Default: yes (section ``responses``)."""
    metadata: dict[str, str] | None = None
    """Kept with the response."""
    safety_identifier: str | None = None
    """As ``user``."""
    truncation: Literal["auto", "disabled"] | None = None
    """What is too long is an error either way."""
    background: bool | None = None
    """True is rejected."""


class InputTokensRequest(_Question):
    """The same question, to count its tokens."""
