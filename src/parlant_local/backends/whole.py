"""Whole answers, as streams end with them and as streams of one piece."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from parlant_local.errors import AllTargetsFailedError, TruncatedOutputError
from parlant_local.messages import ChatChunk, ChatReply, Delta, ToolCallDelta

__all__ = ["cut_or_whole", "in_one_piece"]


async def cut_or_whole(work: Awaitable[ChatReply]) -> ChatReply:
    """One whole answer. One that its limit cut before its JSON was whole is an answer all the same, as in a stream."""
    try:
        return await work
    except (TruncatedOutputError, AllTargetsFailedError) as error:
        causes = error.causes.exceptions if isinstance(error, AllTargetsFailedError) else (error,)
        for cause in causes:
            if isinstance(cause, TruncatedOutputError) and isinstance(cause.answer, ChatReply):
                return cause.answer
        raise


def in_one_piece(reply: ChatReply) -> Iterator[ChatChunk]:
    """A whole answer as a stream: one chunk for each of its choices."""
    for index, choice in enumerate(reply.choices):
        calls = (
            ToolCallDelta(place, call.id, call.name, call.arguments) for place, call in enumerate(choice.tool_calls)
        )
        yield ChatChunk(
            Delta(choice.content, choice.reasoning, tuple(calls)),
            choice.finish_reason,
            choice.usage,
            choice.timings,
            index,
            choice.model,
            choice.logprobs,
        )
