"""Answers: whole, and in the pieces of a stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from parlant_local.brief import Brief
from parlant_local.messages.message import Message
from parlant_local.messages.text import mend, whole_text
from parlant_local.messages.tools import ToolCall
from parlant_local.messages.usage import Timings, Usage

__all__ = ["ChatChunk", "ChatReply", "Delta", "FinishReason", "TokenLogprob", "ToolCallDelta"]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True, repr=False)
class TokenLogprob(Brief):
    """One sampled token with its natural-log probability and the most likely alternatives."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()
    top: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        mend(self, "token")
        if not all(token.isascii() for token, _ in self.top):
            object.__setattr__(self, "top", tuple((whole_text(token), value) for token, value in self.top))


@dataclass(frozen=True, slots=True, repr=False)
class ChatReply(Brief):
    """One whole answer."""

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    timings: Timings = Timings()
    model: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
    warnings: tuple[str, ...] = ()
    stopped_by: str | None = None
    """The stop text that ended it, where one did and the backend tells."""
    alternatives: tuple[ChatReply, ...] = ()
    """The other answers where ``n`` asked for more than one."""

    def __post_init__(self) -> None:
        mend(self, "content", "reasoning")

    @property
    def has_tool_calls(self) -> bool:
        return bool(self.tool_calls)

    @property
    def choices(self) -> tuple[ChatReply, ...]:
        return (replace(self, alternatives=()), *self.alternatives)

    def to_message(self) -> Message:
        """The answer as the next message of its conversation."""
        return Message("assistant", self.content or None, tool_calls=self.tool_calls, reasoning=self.reasoning or None)


@dataclass(frozen=True, slots=True, repr=False)
class ToolCallDelta(Brief):
    """A piece of a tool call in a stream: ``id`` and ``name`` come once, ``arguments`` in pieces."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""

    def __post_init__(self) -> None:
        mend(self, "id", "name", "arguments")


@dataclass(frozen=True, slots=True, repr=False)
class Delta(Brief):
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()

    def __post_init__(self) -> None:
        mend(self, "content", "reasoning")


@dataclass(frozen=True, slots=True, repr=False)
class ChatChunk(Brief):
    """One piece of a streamed answer. The last one has ``finish_reason`` and ``usage``."""

    delta: Delta = Delta()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    index: int = 0
    model: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
    stopped_by: str | None = None
