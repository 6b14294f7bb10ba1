"""Answers about what the server does and could do: its requests, agents of this machine, models to find."""

from __future__ import annotations

from typing_extensions import TypedDict

from parlant_local.server.shapes.answers.common import answer
from parlant_local.server.shapes.answers.models import Evaluation
from parlant_local.server.shapes.answers.texts import Progress

__all__ = [
    "AgentCall",
    "AgentCalls",
    "AgentProcess",
    "FoundList",
    "FoundReport",
    "RequestList",
    "RequestReport",
    "Suggestion",
    "SuggestionList",
]


@answer
class RequestReport(TypedDict):
    """One request; no content."""

    id: str
    time: float
    method: str
    path: str
    client: str | None
    status: int
    """0 while it runs."""
    seconds: float
    running: bool
    progress: Progress | None
    """What it waits for."""
    model: str | None
    schema: str | None
    session: str | None
    streamed: bool
    finish: str | None
    error: str | None
    first_token: float | None
    """Seconds."""
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    forced_tokens: int
    sampled_tokens: int
    decode_seconds: float


@answer
class RequestList(TypedDict):
    requests: list[RequestReport]
    """The newest first."""


@answer
class FoundReport(TypedDict):
    reference: str
    """To download it by."""
    where: str
    """``here``, ``well-known``, ``package`` or ``hub``."""
    size: int | None
    quantization: str | None
    """The one that is taken where none is named; ``size`` and ``fits`` are this one's."""
    quantizations: list[tuple[str, int]]
    fits: bool | None
    parameters: int | None
    context_length: int | None
    license: str | None
    downloads: int | None
    gated: bool
    base: bool
    evaluation: Evaluation | None
    note: str
    """What its figures don't say."""
    problem: str


@answer
class FoundList(TypedDict):
    models: list[FoundReport]
    hub_problem: str
    """Why the hub was not searched."""


@answer
class Suggestion(TypedDict):
    name: str
    hub: str
    parameters: float
    """Billions."""
    size: int
    memory: int
    warm_turn_seconds: float | None
    reasoning: bool
    responsive: bool
    """Whether it answers an agent quickly on this machine: measured, or by its cores."""
    license: str | None


@answer
class SuggestionList(TypedDict):
    models: list[Suggestion]
    available_memory: int


@answer
class AgentCall(TypedDict):
    """One call of an agent's engine to its model; no content."""

    time: float
    """When it ended."""
    session: str | None
    schema: str
    model: str
    outcome: str
    """``answered``, ``failed`` or ``cancelled``."""
    seconds: float
    retries: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    forced_tokens: int
    sampled_tokens: int
    error: str | None


@answer
class AgentProcess(TypedDict):
    name: str
    """Its process id, or ``server`` for what agents ask this server."""
    running: bool
    calls: list[AgentCall]
    """The oldest first."""


@answer
class AgentCalls(TypedDict):
    agents: list[AgentProcess]
