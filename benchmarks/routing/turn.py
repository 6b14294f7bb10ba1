"""The calls of a Parlant turn as sizes: the medians of three recorded conversations of three turns (``benchmarks.record``).

A prompt is a head, which all conversations with an agent share under one schema; the conversation so far, which calls of one
session share; and a part of its own. Sizes are characters there, tokens here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["CHARACTERS_PER_TOKEN", "STAGES", "Asked", "calls_at_once", "calls_of", "head_tokens"]

CHARACTERS_PER_TOKEN = 3.8
"""Of the recorded prompts with the benchmark's vocabulary of 32,000."""
HISTORY = 1_000
"""Characters that a turn adds to the conversation: a message, a reply, what tools said."""


@dataclass(frozen=True)
class Kind:
    schema: str
    stage: int
    head: int
    own: int
    answer: int
    """Characters each."""
    calls: tuple[int, ...]
    """In the first turn, the second, and so on; the last one holds for all later turns."""


KINDS = (
    Kind("GenericObservationalGuidelineMatches", 0, 10_942, 580, 149, (1,)),
    Kind("GenericActionableGuidelineMatches", 0, 11_418, 590, 143, (10, 8)),
    Kind("GenericPreviouslyAppliedActionableCustomerDependent", 0, 13_536, 1_400, 300, (0, 1)),
    Kind("GenericPreviouslyAppliedActionable", 0, 12_308, 1_000, 196, (0, 1)),
    Kind("CannedResponsePreamble", 1, 3_500, 50, 46, (1,)),
    Kind("NonConsequentialToolBatch", 2, 6_424, 1_500, 87, (2, 1)),
    Kind("CannedResponseDraft", 3, 10_644, 4_900, 579, (1,)),
    Kind("GenericResponseAnalysis", 4, 17_365, 4_200, 696, (1,)),
)
STAGES = 5
"""The calls of a stage run at once, and begin when those of the one before have ended. The reply is there after the fourth."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call. ``history`` and ``own`` follow the head of its agent and schema; tokens, and characters of the answer."""

    agent: int
    schema: str
    session: str
    head: int
    history: int
    own: int
    answer: int

    @property
    def tokens(self) -> int:
        return self.head + self.history + self.own


def calls_of(agent: int, session: str, turn: int) -> Iterator[list[Asked]]:
    """The calls of a turn, the first one being 0, stage by stage."""
    history = _tokens(50 + HISTORY * turn)
    for stage in range(STAGES):
        yield [
            Asked(agent, kind.schema, session, _tokens(kind.head), history, _tokens(kind.own), kind.answer)
            for kind in KINDS
            if kind.stage == stage
            for _ in range(kind.calls[min(turn, len(kind.calls) - 1)])
        ]


def calls_at_once(agent: int, session: str, turn: int) -> list[list[Asked]]:
    """One call of each of a turn's schemas, the first five by name, at once: what replicas were measured with."""
    firsts = {asked.schema: asked for stage in calls_of(agent, session, turn) for asked in reversed(stage)}
    return [[replace(firsts[schema], answer=15) for schema in sorted(firsts)[:5]]]


def head_tokens() -> int:
    """What a replica has to compute for one agent until it has all heads."""
    return sum(_tokens(kind.head) for kind in KINDS)


def _tokens(characters: int) -> int:
    return round(characters / CHARACTERS_PER_TOKEN)
