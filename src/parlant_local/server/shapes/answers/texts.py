"""Answers to chats, completions and the short API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from parlant_local.server.shapes.answers.common import Counted, answer, inlined
from parlant_local.server.shapes.common import Failure

__all__ = [
    "CHAT_COMPLETION",
    "COMPLETION",
    "SIMPLE_ANSWER",
    "AnswerHead",
    "AssistantDelta",
    "AssistantMessage",
    "ChatChoice",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatLogprob",
    "ChatLogprobs",
    "ChunkChoice",
    "SimpleAnswer",
    "TextChoice",
    "TextCompletion",
    "TextCompletionChunk",
    "TextLogprobs",
    "TokenUsage",
]


@answer
class TokenUsage(Counted):
    completion_tokens: int
    prompt_tokens_details: Mapping[str, int]
    completion_tokens_details: Mapping[str, int]


@answer
class TopLogprob(TypedDict):
    token: str
    logprob: float
    bytes: list[int]


@answer
class ChatLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


@answer
class ChatLogprobs(TypedDict):
    content: Iterable[ChatLogprob]
    refusal: None


@answer
class TextLogprobs(TypedDict):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


@answer
class AssistantMessage(TypedDict):
    role: str
    content: str | None
    refusal: None
    reasoning: NotRequired[str]
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[dict[str, Any]]]
    function_call: NotRequired[dict[str, Any]]
    """To clients that sent ``functions``."""


@answer
class ChatChoice(TypedDict):
    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None
    finish_reason: str


@answer
class AnswerHead(TypedDict):
    id: str
    object: str
    created: int
    model: str
    system_fingerprint: str


@answer
class ChatCompletion(AnswerHead):
    choices: Annotated[list[ChatChoice], Field(min_length=1)]
    usage: TokenUsage
    timings: Mapping[str, float | bool]
    """Seconds, and counts of forced and sampled tokens."""


@answer
class AssistantDelta(TypedDict, total=False):
    role: str
    content: str
    reasoning: str
    reasoning_content: str
    tool_calls: list[dict[str, Any]]
    function_call: dict[str, Any]


@answer
class ChunkChoice(TypedDict):
    index: int
    delta: AssistantDelta
    logprobs: ChatLogprobs | None
    finish_reason: str | None


@answer
class Progress(TypedDict):
    """What a request waits for."""

    phase: str
    """``memory`` (models in use take what its model needs), ``loading``, ``waiting`` (in the queue), ``reading`` (the prompt)."""
    share: NotRequired[float]
    """Of the model that is loaded, or of the prompt that is read."""
    ahead: NotRequired[int]
    """Requests before it in the queue."""
    read: NotRequired[int]
    prompt: NotRequired[int]
    """Tokens."""
    reused: NotRequired[int]
    """Of the tokens read, those that a cache had."""


@answer
class ChatCompletionChunk(AnswerHead):
    choices: list[ChunkChoice]
    usage: NotRequired[TokenUsage | None]
    timings: NotRequired[Mapping[str, float | bool]]
    progress: NotRequired[Progress]
    """Before the first token, with ``return_progress``."""


@answer
class TextChoice(TypedDict):
    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: str | None


@answer
class TextCompletion(AnswerHead):
    choices: Annotated[list[TextChoice], Field(min_length=1)]
    usage: TokenUsage


@answer
class TextCompletionChunk(AnswerHead):
    choices: list[TextChoice]
    usage: NotRequired[TokenUsage | None]


@answer
class SimpleAnswer(TypedDict):
    response: str
    done: bool
    model: NotRequired[str]
    usage: NotRequired[TokenUsage]
    error: NotRequired[Failure]


CHAT_COMPLETION = inlined(ChatCompletion)
COMPLETION = inlined(TextCompletion)
SIMPLE_ANSWER = inlined(SimpleAnswer)
