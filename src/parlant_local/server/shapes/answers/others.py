"""Answers of vectors, verdicts, tokens and the server's own state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NotRequired

from typing_extensions import TypedDict

from parlant_local.server.shapes.answers.common import Counted, answer

__all__ = [
    "Detokenized",
    "EmbeddingList",
    "Health",
    "ModerationItem",
    "ModerationList",
    "Rendered",
    "RerankItem",
    "RerankList",
    "Status",
    "Tokenized",
]


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


@answer
class Health(TypedDict):
    status: str
    reasons: NotRequired[list[str]]
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
