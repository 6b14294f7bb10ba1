"""Answers about models: which there are, and how they come and go."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from parlant_local.server.shapes.answers.common import answer

__all__ = [
    "AdapterCard",
    "AdminList",
    "Detailed",
    "Done",
    "DownloadAnswer",
    "DownloadState",
    "Evaluation",
    "ModelCard",
    "ModelList",
    "Names",
]


@answer
class ModelStatus(TypedDict):
    value: str
    users: NotRequired[int]
    size: NotRequired[int]
    idle_seconds: NotRequired[float]
    done: NotRequired[int | None]
    total: NotRequired[int | None]
    reason: NotRequired[str]
    share: NotRequired[float]
    """Of a model that is being loaded."""


@answer
class Evaluation(TypedDict):
    """What `parlant-local evaluate` said of a model."""

    model: str
    """The id that it was examined under."""
    score: float
    """The mean share of right decisions, 0 to 1."""
    verdict: str
    cases: int
    made: str
    """When, as ISO 8601."""


@answer
class AdapterCard(TypedDict):
    id: int
    name: str
    path: str
    """The name of its file."""
    scale: float
    architecture: NotRequired[str]
    """Of the models that it was made for."""
    problem: NotRequired[str]
    """Why it can't be used."""


@answer
class ModelCard(TypedDict):
    id: str
    object: str
    created: int
    owned_by: str
    root: str
    base: NotRequired[bool]
    evaluation: NotRequired[Evaluation]
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
