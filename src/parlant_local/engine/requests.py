"""What a caller passes to the engine and gets back. Nothing here touches llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parlant_local.call_options import Priority
from parlant_local.engine.media.spans import ReadPrompt
from parlant_local.engine.parsing.syntax import CallSyntax
from parlant_local.engine.sampling import Sampling
from parlant_local.messages import FinishReason, Timings, TokenLogprob, Usage

__all__ = [
    "AnyJson",
    "CallOf",
    "Choices",
    "Constraint",
    "Generation",
    "GenerationPiece",
    "GenerationRequest",
    "Grammar",
    "JsonSchema",
    "Limits",
    "Priority",
    "ReasoningPrelude",
    "Regex",
    "Sampling",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds compiled into open-ended parts of a schema, so that every constrained answer ends."""

    max_string: int = 600
    """Characters."""
    max_items: int = 32
    max_properties: int = 32
    """Keys of dict-typed fields."""
    max_digits: int = 15
    max_depth: int = 6
    """Of recursive schemas and values of any type."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """JSON that follows a schema: keys in declaration order, compact, closed, bounded by ``limits``."""

    schema: Mapping[str, Any]
    limits: Limits = Limits()
    spaced: bool = False
    """A space after each colon and comma, as models were trained to write tool calls; otherwise none."""


@dataclass(frozen=True, slots=True)
class AnyJson:
    """Any JSON object."""

    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Regex:
    pattern: str


@dataclass(frozen=True, slots=True)
class Grammar:
    """A Lark or GBNF grammar (``::=`` makes it GBNF)."""

    text: str


@dataclass(frozen=True, slots=True)
class Choices:
    """One of these texts, exactly."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallOf:
    """One call of any of ``tools`` (names, and schemas of their arguments), written in a template's own syntax."""

    syntax: CallSyntax
    tools: tuple[tuple[str, Mapping[str, Any]], ...]
    limits: Limits = Limits()


Constraint = JsonSchema | AnyJson | Regex | Grammar | Choices | CallOf


@dataclass(frozen=True, slots=True)
class ReasoningPrelude:
    """Free thoughts before the constraint binds (and before content counts).

    The prompt has already opened the thoughts (``opened``), or the engine opens them with ``start``. They end with ``end``,
    and neither is part of them; when ``budget`` tokens are spent, ``end`` is forced.
    """

    start: str
    end: str
    budget: int
    opened: bool
    call: str = ""
    """The mark that opens a tool call, for models that call between thoughts: it ends the thoughts and begins the answer."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One sequence to generate."""

    prompt: str | Sequence[int] | ReadPrompt
    """Text in which special tokens count as such (a rendered template), token ids, or what the engine read of pictures and sounds."""
    max_tokens: int
    sampling: Sampling = Sampling()
    constraint: Constraint | None = None
    reasoning: ReasoningPrelude | None = None
    stop: tuple[str, ...] = ()
    """Texts that end the answer and are not part of it."""
    add_bos: bool | None = None
    """None: as the vocabulary says, never doubled."""
    control_text: bool = False
    """Include control tokens (``[TOOL_CALLS]``, ``<|python_tag|>``) in the text; end-of-generation tokens never are."""
    logprobs: int | None = None
    """Alternatives per token; 0: only the chosen token's."""
    prefix_group: str | None = None
    session: str | None = None
    priority: Priority = "normal"
    deadline: float | None = None
    """Seconds from submission."""


@dataclass(frozen=True, slots=True)
class GenerationPiece:
    """A piece of a streamed generation: whole UTF-8 characters, thoughts and answer kept apart."""

    text: str = ""
    reasoning: str = ""
    tokens: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    final: Generation | None = None
    """The whole result, on the last piece only."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One finished generation."""

    text: str
    reasoning: str
    tokens: tuple[int, ...]
    """All generated token ids, thoughts and forced ones included."""
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    logprobs: tuple[TokenLogprob, ...] | None = None
    stopped_by: str | None = None
    """The stop text that ended it, where one did."""
    closed_early: bool = False
    """Tokens ran low, so the JSON answer was closed early: complete and valid, but shorter than the model meant it."""
    unbound: frozenset[str] = frozenset()
    """Keywords of its schema that the decoder did not enforce: the caller has to validate the answer."""
