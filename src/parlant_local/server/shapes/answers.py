"""The schemas of responses: types for the code that writes them, and the API's description.

Typed dictionaries, which cost nothing while tokens stream: responses are not validated at run time, but by the type checker and the tests
that check them against the description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from parlant_local.server.shapes.common import Failure

__all__ = [
    "CHAT_COMPLETION",
    "COMPLETION",
    "SIMPLE_ANSWER",
    "AdminList",
    "AnswerHead",
    "AssistantDelta",
    "AssistantMessage",
    "ChatChoice",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatLogprob",
    "ChatLogprobs",
    "ChunkChoice",
    "Detailed",
    "Detokenized",
    "Done",
    "DownloadAnswer",
    "DownloadState",
    "EmbeddingList",
    "Health",
    "ModelCard",
    "ModelList",
    "ModerationItem",
    "ModerationList",
    "Names",
    "Rendered",
    "RerankItem",
    "RerankList",
    "SimpleAnswer",
    "Status",
    "TextChoice",
    "TextCompletion",
    "TextCompletionChunk",
    "TextLogprobs",
    "TokenUsage",
    "Tokenized",
]

# Clients must accept fields that later versions add.
answer = with_config(ConfigDict(extra="allow", use_attribute_docstrings=True))


@answer
class Counted(TypedDict):
    prompt_tokens: int
    total_tokens: int


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


# -- chats ------------------------------------------------------------------------------------------------------------


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
    timings: Mapping[str, float]
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
class ChatCompletionChunk(AnswerHead):
    choices: list[ChunkChoice]
    usage: NotRequired[TokenUsage | None]
    timings: NotRequired[Mapping[str, float]]


# -- completions and the short API ------------------------------------------------------------------------------------


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


# -- vectors, verdicts, tokens ----------------------------------------------------------------------------------------


@answer
class EmbeddingItem(TypedDict):
    object: str
    index: int
    embedding: Sequence[float] | str


@answer
class EmbeddingList(TypedDict):
    object: str
    data: Iterable[EmbeddingItem]
    model: str
    usage: Counted
    truncated: NotRequired[list[int]]
    """Indices of truncated texts, where truncation was requested."""


@answer
class RerankItem(TypedDict):
    index: int
    relevance_score: float
    document: NotRequired[dict[str, str]]


@answer
class RerankList(TypedDict):
    object: str
    model: str
    results: list[RerankItem]
    usage: Counted


@answer
class ModerationItem(TypedDict):
    flagged: bool
    categories: dict[str, bool | None]
    category_scores: dict[str, float | None]


@answer
class ModerationList(TypedDict):
    id: str
    model: str
    results: list[ModerationItem]
    warnings: NotRequired[list[str]]
    """Set where the results are unreliable."""


@answer
class Tokenized(TypedDict):
    tokens: Iterable[Any]
    model: str


@answer
class Detokenized(TypedDict):
    content: str
    model: str


@answer
class Rendered(TypedDict):
    prompt: str
    tokens: Sequence[int]
    model: str


# -- models -----------------------------------------------------------------------------------------------------------


@answer
class ModelStatus(TypedDict):
    value: str
    users: NotRequired[int]
    size: NotRequired[int]
    idle_seconds: NotRequired[float]
    done: NotRequired[int | None]
    total: NotRequired[int | None]
    reason: NotRequired[str]


@answer
class ModelCard(TypedDict):
    id: str
    object: str
    created: int
    owned_by: str
    root: str
    base: NotRequired[bool]
    status: ModelStatus
    capabilities: list[str]
    meta: dict[str, Any]


@answer
class ModelList(TypedDict):
    object: str
    data: list[ModelCard]


@answer
class DownloadState(TypedDict):
    reference: str
    state: str
    done: int
    """Bytes."""
    total: int | None
    rate: float
    """Bytes per second."""
    seconds_left: float | None
    model: str | None
    error: str | None


@answer
class AdminList(ModelList):
    downloads: list[DownloadState]


@answer
class DownloadAnswer(TypedDict):
    success: bool
    download: DownloadState


@answer
class Done(TypedDict):
    success: bool
    was_loaded: NotRequired[bool]
    freed: NotRequired[int]


@answer
class Names(TypedDict):
    models: list[str]


@answer
class Detailed(TypedDict):
    models: list[ModelCard]


# -- insight ----------------------------------------------------------------------------------------------------------


@answer
class Health(TypedDict):
    status: str
    timestamp: NotRequired[str]
    version: NotRequired[str]


@answer
class Status(TypedDict):
    status: str
    version: str
    time: float
    uptime_seconds: float
    requests_running: int
    models: dict[str, Any]
    services: dict[str, Any]
    switcher: dict[str, Any]
    machine: dict[str, Any]


def _inline(declared: Any) -> dict[str, Any]:
    """A self-contained schema, for responses that share their route with a stream."""
    schema = TypeAdapter(declared).json_schema(mode="serialization")
    parts = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return resolved(parts[value["$ref"].rpartition("/")[2]])
            return {key: resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [resolved(item) for item in value]
        return value

    found = resolved(schema)
    assert isinstance(found, dict)
    return found


CHAT_COMPLETION = _inline(ChatCompletion)
COMPLETION = _inline(TextCompletion)
SIMPLE_ANSWER = _inline(SimpleAnswer)
