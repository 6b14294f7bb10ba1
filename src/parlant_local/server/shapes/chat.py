"""Requests to answer: chats and completions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from parlant_local.server.shapes.common import Listed, Request, Whole
from parlant_local.server.shapes.inputs import Inputs

__all__ = ["ChatMessage", "ChatRequest", "CompletionRequest", "Sampling", "StreamOptions"]

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Part(Request):
    """A part of a message. Only text is understood; images and files are refused."""

    type: str
    text: str | None = None


class Function(Request):
    name: str
    arguments: str | dict[str, Any] | None = None


class Call(Request):
    id: str | None = None
    type: Literal["function"] | None = None
    function: Function


class ChatMessage(Request):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Listed[Part] | None = None
    name: str | None = None
    tool_calls: Listed[Call] | None = None
    tool_call_id: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class StreamOptions(Request):
    include_usage: bool | None = None


class ToolFunction(Request):
    name: str = Field(min_length=1, max_length=256)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """A JSON schema of type object."""
    strict: bool | None = None


class ToolShape(Request):
    type: Literal["function"]
    function: ToolFunction


class NamedFunction(Request):
    name: str


class NamedTool(Request):
    type: Literal["function"]
    function: NamedFunction


class JsonSchemaShape(Request):
    name: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    description: str | None = None


class FormatShape(Request):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaShape | None = None


class Reasoning(Request):
    effort: Effort | None = None
    max_tokens: Whole | None = Field(default=None, ge=0, le=1 << 31)
    enabled: bool | None = None


class Sampling(Request):
    """What chats and completions have in common."""

    model: str | None = None
    """A name that ``GET /v1/models`` lists; absent: the server's default."""
    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: Whole | None = Field(default=None, ge=0, le=1 << 31)
    min_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    repeat_penalty: float | None = Field(default=None, ge=0.01, le=10)
    logit_bias: dict[str, float] | None = None
    """Token id to a bias, -100 to 100."""
    seed: Whole | None = Field(default=None, ge=-(1 << 63), le=(1 << 63) - 1)
    stop: str | Listed[str] | None = Field(default=None)
    """A text that ends the answer, or up to 16."""
    max_tokens: Whole | None = Field(default=None, ge=1, le=1 << 31)
    n: Whole | None = Field(default=None, ge=1, le=32)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    """Whose conversation it is: what several users share may be kept longer than what one says."""
    grammar: str | None = None
    """GBNF or Lark that binds the answer."""
    priority: Literal["interactive", "normal", "background"] | None = None


class ChatRequest(Sampling):
    messages: Listed[ChatMessage] = Field(min_length=1)
    max_completion_tokens: Whole | None = Field(default=None, ge=1, le=1 << 31)
    logprobs: bool | None = None
    top_logprobs: Whole | None = Field(default=None, ge=0, le=20)
    response_format: FormatShape | None = None
    tools: Listed[ToolShape] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    reasoning: Reasoning | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    """Of these, ``enable_thinking`` counts."""


class CompletionRequest(Sampling):
    prompt: Inputs
    """Text or token ids; several give several choices."""
    logprobs: Whole | None = Field(default=None, ge=0, le=20)
    echo: bool | None = None
    suffix: str | None = None
    best_of: Whole | None = Field(default=None, ge=1, le=32)
