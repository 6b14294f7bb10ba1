"""Answers of OpenAI's Responses API."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from parlant_local.server.shapes.answers.common import answer, inlined

__all__ = ["RESPONSE", "AskedFacts", "InputItems", "InputTokens", "ResponseAnswer", "ResponseDeleted", "ResponseUsage"]


@answer
class ResponseUsage(TypedDict):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


@answer
class AskedFacts(TypedDict):
    """What a response repeats of its request."""

    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: dict[str, Any]
    temperature: float | None
    """As asked; None where the model's own holds."""
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float | None
    truncation: str
    user: str | None


@answer
class ResponseAnswer(AskedFacts):
    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: str
    background: bool
    error: dict[str, Any] | None
    incomplete_details: dict[str, str] | None
    model: str
    output: list[dict[str, Any]]
    """Items of type reasoning, message and function_call, as they came."""
    store: bool
    """Whether it is kept here."""
    usage: ResponseUsage | None


@answer
class InputItems(TypedDict):
    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


@answer
class ResponseDeleted(TypedDict):
    id: str
    object: Literal["response"]
    deleted: bool


@answer
class InputTokens(TypedDict):
    object: Literal["response.input_tokens"]
    input_tokens: int


RESPONSE = inlined(ResponseAnswer)
