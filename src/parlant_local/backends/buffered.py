"""Complete replies where a stream is expected, and truncated ones accepted as streams accept them."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from parlant_local.errors import AllTargetsFailedError, TruncatedOutputError
from parlant_local.messages import ChatChunk, ChatReply, Delta, ToolCallDelta

__all__ = ["accept_truncated", "reply_chunks"]


async def accept_truncated(work: Awaitable[ChatReply]) -> ChatReply:
    """The reply; one that the token limit cut before its JSON was complete counts as one, as in a stream."""
    try:
        return await work
    except (TruncatedOutputError, AllTargetsFailedError) as error:
        causes = error.causes.exceptions if isinstance(error, AllTargetsFailedError) else (error,)
        for cause in causes:
            if isinstance(cause, TruncatedOutputError) and isinstance(cause.answer, ChatReply):
                return cause.answer
        raise


def reply_chunks(reply: ChatReply) -> Iterator[ChatChunk]:
    """A complete reply as a stream: one chunk per choice."""
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
            choice.stopped_by,
        )
