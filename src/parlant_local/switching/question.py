"""One call for an answer, with what may be changed about it to get one."""

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

__all__ = ["Question", "as_given", "nothing_written"]

T = TypeVar("T")


@dataclass(frozen=True)
class Question(Generic[T]):
    messages: Callable[[Change], tuple[Message, ...]]
    """The conversation as an attempt is to see it."""
    options: Callable[[Change], ChatOptions]
    judge: Callable[[ChatReply], T]
    """What the answer means; an :class:`OutputError` refuses it."""
    leeway: Leeway = Leeway()
    plain_at: Callable[[str], bool] = lambda _target: False
    """Whether a target is known to refuse the tightened schema."""
    replied: Callable[[ChatReply], None] = lambda _reply: None
    """Told of every reply, before it is judged."""
    failed: Callable[[str, Change, ParlantLocalError], None] = lambda _target, _change, _error: None
    """Told of every attempt that failed, by target; one whose reply was refused is among them."""
    counts: Callable[[ChatChunk], bool] = lambda _chunk: True
    """Of streams: whether a piece is part of the answer, after which no other attempt may take over."""


def as_given(given: str | MessageLike | Iterable[MessageLike], options: ChatOptions) -> Question[ChatReply]:
    """A plain chat: any reply will do, and the length of its answer is the caller's."""

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


def nothing_written(target: str) -> InvalidOutputError:
    return InvalidOutputError(f"{target} wrote an empty message.")
