"""Requests for chats and completions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from parlant_local.call_options import OPTIONS
from parlant_local.server.shapes.common import TO_WHOLE, Listed, Request
from parlant_local.server.shapes.inputs import Inputs
from parlant_local.server.shapes.sampling import with_option_fields

__all__ = ["ChatMessage", "ChatRequest", "CompletionRequest", "Sampling", "StreamOptions"]

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_MAX_TOKENS, _REASONING_TOKENS = OPTIONS["max_tokens"], OPTIONS["reasoning_tokens"]
MaxTokens = Annotated[int, Field(ge=_MAX_TOKENS.lowest, le=_MAX_TOKENS.high), TO_WHOLE]
Thoughts = Annotated[int, Field(ge=_REASONING_TOKENS.lowest, le=_REASONING_TOKENS.high), TO_WHOLE]
Alternatives = Annotated[int, Field(ge=0, le=20), TO_WHOLE]
"""With OpenAI's bounds."""


class Part(Request):
    """A part of a message, under any client's name for what it is; kinds that are not supported are refused by name."""

    type: str | None = None


class AdditionalKwargs(Request):
    """LangChain's container for other providers' fields."""

    tool_calls: Listed[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    refusal: str | None = None


class ChatMessage(Request):
    """OpenAI's; the field names of Anthropic's, LangChain's, LiteLLM's, LibreChat's and Gemini's clients are accepted as well."""

    role: str | None = None
    """system, user, assistant or tool, or another client's name for it: developer, human, ai, model, bot, function, ipython …"""
    content: str | Listed[str | Part] | Part | None = None
    name: str | None = None
    tool_calls: Listed[dict[str, Any]] | None = None
    tool_call_id: str | Annotated[int, TO_WHOLE] | None = None
    reasoning: str | Listed[Part] | Part | None = None
    reasoning_content: str | None = None
    thinking: str | None = None
    thinking_blocks: Listed[Part] | None = None
    reasoning_details: Listed[Part] | None = None
    provider_specific_fields: dict[str, Any] | None = None
    """LiteLLM's; reasoning in it is read."""
    refusal: str | None = None
    function_call: dict[str, Any] | None = None
    type: str | None = None
    """Of entries without a role: LangChain's kinds of messages, and the items of a response."""
    parts: Listed[str | Part] | None = None
    """Gemini's and the AI SDK's content."""
    toolInvocations: Listed[dict[str, Any]] | None = None
    """The AI SDK's calls with their results."""
    data: dict[str, Any] | None = None
    """A message as LangChain stores it."""
    kwargs: dict[str, Any] | None = None
    """Another form of the same."""
    additional_kwargs: AdditionalKwargs | None = None
    prefix: bool | None = None
    """On a final assistant message: the answer continues it."""


class StreamOptions(Request):
    include_usage: bool | None = None


class ToolFunction(Request):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """A JSON schema of type object."""
    strict: bool | None = None


class ToolShape(Request):
    """OpenAI's, nested or flat, or Anthropic's (``input_schema``)."""

    type: str | None = None
    function: ToolFunction | None = None
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None


class NamedFunction(Request):
    name: str


class AllowedTools(Request):
    mode: Literal["auto", "required"] | None = None
    tools: Listed[dict[str, Any]]


class ToolChoiceShape(Request):
    type: Literal["auto", "none", "any", "required", "function", "tool", "allowed_tools"]
    function: NamedFunction | None = None
    name: str | None = None
    allowed_tools: AllowedTools | None = None
    mode: Literal["auto", "required"] | None = None
    tools: Listed[dict[str, Any]] | None = None
    disable_parallel_tool_use: bool | None = None


class JsonSchemaShape(Request):
    name: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    description: str | None = None


class FormatShape(Request):
    type: Literal["text", "json_object", "json_schema", "grammar"]
    json_schema: JsonSchemaShape | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    name: str | None = None
    strict: bool | None = None
    description: str | None = None
    grammar: str | None = None


class StructuredOutputs(Request):
    """vLLM's."""

    json_: dict[str, Any] | str | None = Field(default=None, alias="json")
    choice: Listed[str] | None = None
    grammar: str | None = None
    regex: str | None = None
    json_object: bool | None = None


class Reasoning(Request):
    effort: Effort | None = None
    max_tokens: Thoughts | None = None
    enabled: bool | None = None


class Thinking(Request):
    """Anthropic's, and DeepSeek's."""

    type: Literal["enabled", "disabled", "adaptive", "auto"] | None = None
    budget_tokens: Thoughts | None = None


@with_option_fields
class Sampling(Request):
    """Shared by chats and completions."""

    model: str | None = None
    """A name from ``GET /v1/models``. Default: the server's default model."""
    logit_bias: dict[str, float] | None = None
    """Token id to a bias, -100 to 100."""
    stop: str | Listed[str] | None = Field(default=None)
    """A stop sequence, or up to 16."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    """The end user: prefixes that several users share may be kept longer than one user's."""
    grammar: str | None = None
    """A GBNF or Lark grammar for the answer."""
    guided_json: dict[str, Any] | str | None = None
    """A JSON schema, under vLLM's name."""
    guided_grammar: str | None = None
    guided_choice: Listed[str] | None = None
    """The answer is one of these texts."""
    guided_regex: str | None = None
    """Rejected: use a schema's ``pattern`` or a grammar."""
    structured_outputs: StructuredOutputs | None = None
    json_schema: dict[str, Any] | None = None
    """A JSON schema, under the name of llama-server's completions."""
    format: Literal["json"] | dict[str, Any] | None = None
    """``json`` or a JSON schema, under Ollama's name."""
    response_format: FormatShape | None = None


class ChatRequest(Sampling):
    messages: Listed[ChatMessage] = Field(min_length=1)
    system: str | Listed[str | Part] | None = None
    """A system message in front of the conversation, as Anthropic's clients send it."""
    max_completion_tokens: MaxTokens | None = None
    logprobs: bool | None = None
    top_logprobs: Alternatives | None = None
    tools: Listed[ToolShape] | None = None
    tool_choice: str | ToolChoiceShape | None = None
    """auto, none, required (or any), a tool's name, or an object in OpenAI's or Anthropic's format."""
    functions: Listed[ToolFunction] | None = None
    """The predecessor of tools; answered with ``function_call``."""
    function_call: str | NamedFunction | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    enable_thinking: bool | None = None
    think: bool | Effort | None = None
    """Ollama's name."""
    chat_template_kwargs: dict[str, Any] | None = None
    """Only ``enable_thinking`` and ``thinking`` are used."""
    continue_final_message: bool | None = None
    """Whether to continue a final assistant message. Default: yes, unless the answer is constrained or calls a tool."""
    add_generation_prompt: bool | None = None
    """True: a final assistant message is answered, not continued."""
    return_progress: bool | None = None
    """A stream also has chunks without choices that say what it waits for until its first token comes: ``progress``. The
    response then starts at once, so that an early error is an event of the stream."""
    modalities: Listed[str] | None = None
    """Only text is supported."""
    audio: dict[str, Any] | None = None
    """Rejected."""


class CompletionRequest(Sampling):
    prompt: Inputs
    """Text or token ids; several give several choices."""
    logprobs: Alternatives | None = None
    echo: bool | None = None
    suffix: str | None = None
    """The text after the gap that is filled in, by a model whose vocabulary has tokens for it."""
    best_of: Annotated[int, Field(ge=OPTIONS["n"].low, le=OPTIONS["n"].high), TO_WHOLE] | None = None
