"""One attempt at one target: what is learned while it runs, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from parlant_local.backends.base import Backend, ChatOptions
from parlant_local.errors import DeadlineExceededError, OutputError, ParlantLocalError, StreamInterruptedError
from parlant_local.messages import ChatChunk, Message, Usage
from parlant_local.switching.chain import Step

__all__ = ["Attempt", "SkippedError", "adjusted", "after_commit", "repairing", "timed", "was_sent"]


@dataclass(eq=False)
class Attempt:
    """What is learned while one attempt runs."""

    backend: Backend
    began: float
    usage: Usage = field(default_factory=Usage)
    first_chunk: float | None = None
    reached: bool = False
    """Whether anything came back from the other side."""


class SkippedError(Exception):
    """An attempt that did not begin."""

    def __init__(self, reason: ParlantLocalError) -> None:
        super().__init__(reason.message)
        self.reason = reason


def repairing(thread: tuple[Message, ...], step: Step) -> tuple[Message, ...]:
    if step.repair is None:
        return thread
    wish = f"Your last answer was refused. {step.repair} Answer again, with JSON that fits the schema and nothing else."
    return (*thread, Message.user(wish))


def adjusted(options: ChatOptions, step: Step, left: float | None) -> ChatOptions:
    """``options`` with the time that is left, and the answer's length where this step has its own."""
    if left is not None:
        options = {**options, "deadline": left}
    return options if step.max_tokens is None else {**options, "max_tokens": step.max_tokens}


def after_commit(target: str, error: ParlantLocalError) -> ParlantLocalError:
    """The stream's own typed end; an answer that is complete but unusable keeps its kind."""
    if isinstance(error, OutputError | StreamInterruptedError | DeadlineExceededError):
        return error
    return StreamInterruptedError(f"The stream of {target} broke after it had begun: {error.message}", hint=error.hint)


def was_sent(attempt: Attempt | None, failure: str | None) -> bool:
    """Whether a call without a token count may have been charged for: it was not refused at the door."""
    if attempt is None:
        return False
    return attempt.reached or failure in (
        "cancelled",
        "StreamInterruptedError",
        "InvalidOutputError",
        "TruncatedOutputError",
    )


async def timed(stream: AsyncIterator[ChatChunk], limit: Callable[[], float | None]) -> AsyncIterator[ChatChunk]:
    """``stream`` with every wait bounded by what is left of the time."""
    while True:
        async with asyncio.timeout(limit()):
            try:
                chunk = await anext(stream)
            except StopAsyncIteration:
                return
        yield chunk
