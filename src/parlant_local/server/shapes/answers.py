"""What answers look like, for the API's description: the routes write them by hand, for speed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "CHAT_COMPLETION",
    "COMPLETION",
    "SIMPLE_ANSWER",
    "AdminList",
    "Detailed",
    "Detokenized",
    "Done",
    "DownloadAnswer",
    "EmbeddingList",
    "Health",
    "ModelCard",
    "ModelList",
    "ModerationList",
    "Names",
    "Rendered",
    "RerankList",
    "Status",
    "Tokenized",
]


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())


class Counted(Answer):
    prompt_tokens: int
    total_tokens: int


class EmbeddingItem(Answer):
    object: str
    index: int
    embedding: list[float] | str


class EmbeddingList(Answer):
    object: str
    data: list[EmbeddingItem]
    model: str
    usage: Counted


class RerankItem(Answer):
    index: int
    relevance_score: float


class RerankList(Answer):
    model: str
    results: list[RerankItem]
    usage: Counted


class ModelStatus(Answer):
    value: str


class ModelCard(Answer):
    id: str
    object: str
    created: int
    owned_by: str
    status: ModelStatus


class ModelList(Answer):
    object: str
    data: list[ModelCard]


class DownloadState(Answer):
    reference: str
    state: str
    done: int
    total: int | None
    rate: float
    seconds_left: float | None
    model: str | None
    error: str | None


class AdminList(ModelList):
    downloads: list[DownloadState]


class DownloadAnswer(Answer):
    success: bool
    download: DownloadState


class Done(Answer):
    success: bool


class Health(Answer):
    status: str


class Status(Answer):
    status: str
    version: str
    time: float
    uptime_seconds: float
    requests_running: int
    models: dict[str, Any]
    services: dict[str, Any]
    switcher: dict[str, Any]
    machine: dict[str, Any]


class Tokenized(Answer):
    tokens: list[Any]
    model: str


class Detokenized(Answer):
    content: str
    model: str


class Rendered(Answer):
    prompt: str
    tokens: list[int]
    model: str


class ModerationItem(Answer):
    flagged: bool
    categories: dict[str, bool | None]
    category_scores: dict[str, float | None]


class ModerationList(Answer):
    id: str
    model: str
    results: list[ModerationItem]


class Names(Answer):
    models: list[str]


class Detailed(Answer):
    models: list[ModelCard]


class Used(Counted):
    completion_tokens: int


class AssistantMessage(Answer):
    role: str
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChoice(Answer):
    index: int
    message: AssistantMessage
    finish_reason: str


class ChatCompletion(Answer):
    id: str
    object: str
    created: int
    model: str
    choices: list[ChatChoice] = Field(min_length=1)
    usage: Used


class TextChoice(Answer):
    index: int
    text: str
    finish_reason: str | None


class TextCompletion(Answer):
    id: str
    object: str
    created: int
    model: str
    choices: list[TextChoice] = Field(min_length=1)
    usage: Used


class SimpleAnswer(Answer):
    response: str
    done: bool


def _inline(model: type[BaseModel]) -> dict[str, Any]:
    """A schema that stands by itself, for answers that share their route with a stream."""
    schema = model.model_json_schema()
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
