"""Answers of Anthropic's Messages API."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from parlant_local.server.shapes.answers.common import answer, inlined

__all__ = ["MESSAGE", "AnthropicError", "AnthropicFailure", "AnthropicMessage", "MessageUsage", "TokenCount"]


@answer
class MessageUsage(TypedDict):
    input_tokens: int
    """Prompt tokens that were computed; those of a cache are beside them."""
    cache_creation_input_tokens: int
    """Always 0: what is kept of a prompt is no client's account."""
    cache_read_input_tokens: int
    output_tokens: int
    """Thoughts included."""
    output_tokens_details: dict[str, int]


@answer
class AnthropicMessage(TypedDict):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    """Blocks of type thinking, text and tool_use, in this order."""
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessageUsage


@answer
class TokenCount(TypedDict):
    input_tokens: int


@answer
class AnthropicFailure(TypedDict):
    type: str
    message: str
    details: NotRequired[dict[str, str]]
    """``error_code`` and ``param`` of an error in OpenAI's form."""


@answer
class AnthropicError(TypedDict):
    type: Literal["error"]
    error: AnthropicFailure
    request_id: str | None


MESSAGE = inlined(AnthropicMessage)
