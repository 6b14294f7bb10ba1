"""One call for an answer, with what a retry may change about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from parlant_local.backends.base import ChatOptions
from parlant_local.backends.structured import corrected
from parlant_local.errors import InvalidOutputError, ParlantLocalError
from parlant_local.messages import ChatChunk, ChatReply, Message, MessageLike, as_messages
from parlant_local.switching.ladder import Change, Leeway

__all__ = ["Question", "empty_answer_error", "plain_question"]

T = TypeVar("T")


@dataclass(frozen=True)
class Question(Generic[T]):
    messages: Callable[[Change], tuple[Message, ...]]
    """The conversation that an attempt sends."""
    options: Callable[[Change], ChatOptions]
    judge: Callable[[ChatReply], T]
    """Parses and validates the answer; raises :class:`OutputError` to reject it."""
    leeway: Leeway = Leeway()
    plain_at: Callable[[str], bool] = lambda _target: False
    """Whether a target is known to refuse the tightened schema."""
    replied: Callable[[ChatReply], None] = lambda _reply: None
    """Called with every reply, before it is judged."""
    failed: Callable[[str, Change, ParlantLocalError], None] = lambda _target, _change, _error: None
    """Called for every failed attempt, including those whose reply was rejected."""
    counts: Callable[[ChatChunk], bool] = lambda _chunk: True
    """For streams: whether a chunk is part of the answer, after which no retry is possible."""


def plain_question(given: str | MessageLike | Iterable[MessageLike], options: ChatOptions) -> Question[ChatReply]:
    """A plain chat: any reply is accepted, and the caller's token limit holds."""

    @cache
    def thread() -> tuple[Message, ...]:
        return as_messages(given)

    def messages(change: Change) -> tuple[Message, ...]:
        return thread() if change.repair is None else corrected(thread(), change.repair)

    return Question(
        messages,
        lambda change: change.fitted(options),
        judge=lambda reply: reply,
        leeway=Leeway(options.get("max_tokens")),
    )


def empty_answer_error(target: str) -> InvalidOutputError:
    return InvalidOutputError(f"{target} returned an empty message.")
