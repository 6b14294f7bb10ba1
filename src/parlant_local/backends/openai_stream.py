"""A streamed answer assembled: reasoning and tool calls separated, finish reason and usage held back for the last chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from parlant_local.backends.openai_reading import (
    choices_of,
    finish_of,
    logprobs_of,
    name_and_arguments,
    new_id,
    parts_of,
    plain_arguments,
    text_of,
    usage_of,
)
from parlant_local.backends.thoughts import Habit, TaggedThoughts
from parlant_local.messages import (
    ChatChunk,
    ChatReply,
    Delta,
    FinishReason,
    ToolCall,
    ToolCallDelta,
    Usage,
    json_value,
    whole_text,
)

__all__ = ["StreamAssembler"]


@dataclass
class _Call:
    index: Any
    """On the wire; ``None`` where the endpoint gives none."""
    wire_id: str
    name: str
    arguments: str = ""
    given_id: str = ""
    """What callers know it by."""

    @property
    def odd(self) -> bool:
        """Whether the arguments are not an object, and so are held back: JSON in a text, or the word for nothing."""
        return self.arguments.lstrip()[:1] not in ("{", "")

    @property
    def late(self) -> str:
        """What was held back, as an object where it can be one."""
        return plain_arguments(self.arguments) if self.odd else ""

    def is_continued_by(self, index: Any, wire_id: str, name: str) -> bool:
        """Whether a piece belongs to this call. Some endpoints number all calls alike, some repeat id or name with every
        piece, some make up another id for each, some give neither number nor id."""
        if name and self.name and name != self.name and self._is_complete():
            return False
        if wire_id and self.wire_id:
            apart = name and None not in (index, self.index) and index != self.index
            return (wire_id == self.wire_id and not apart) or (index is not None and index == self.index and not name)
        if index is not None and self.index is not None and index != self.index:
            return False
        return not name or not self.name or (name == self.name and not self._is_complete())

    def _is_complete(self) -> bool:
        try:
            return isinstance(json_value(self.arguments), dict)
        except ValueError:
            return False


@dataclass
class _Answer:
    """One of the answers of a stream."""

    thoughts: TaggedThoughts
    content: list[str] = field(default_factory=list)
    separates_reasoning: bool = False
    """Whether the endpoint separates reasoning from content itself."""
    calls: list[_Call] = field(default_factory=list)
    high_surrogate: str = ""
    """A high surrogate whose low one has not arrived yet."""
    finished: FinishReason | None = None


class StreamAssembler:
    """Turns events into chunks; empty ones are dropped."""

    def __init__(self, model: str, habit: Habit | None = None, *, hold: bool = False) -> None:
        """``habit`` and ``hold``: see :class:`TaggedThoughts`."""
        self.model = model
        self._habit, self._hold = habit or Habit(), hold
        self.usage: Usage | None = None
        self._answers: dict[int, _Answer] = {}

    @property
    def begun(self) -> bool:
        return bool(self._answers)

    @property
    def finished(self) -> bool:
        return any(answer.finished is not None for answer in self._answers.values())

    def complete(self, count: int) -> bool:
        """Whether all of ``count`` answers have finished, so that nothing that happens now is a loss."""
        ended = [answer for answer in self._answers.values() if answer.finished is not None]
        return len(ended) == len(self._answers) >= count

    def feed(self, data: Any) -> list[ChatChunk]:
        usage = usage_of(data)
        if usage != Usage():
            self.usage = usage
        chunks: list[ChatChunk] = []
        for choice in choices_of(data):
            index = choice.get("index")
            index = index if isinstance(index, int) else 0
            if (answer := self._answers.get(index)) is None:
                answer = self._answers[index] = _Answer(TaggedThoughts(self._habit, hold=self._hold))
            logprobs = logprobs_of(choice)
            for delta in self._deltas(answer, choice):
                chunks.append(self._chunk(index, delta, logprobs))
                logprobs = None
            if (reason := finish_of(choice.get("finish_reason"))) is not None:
                answer.finished = "tool_calls" if reason == "stop" and answer.calls else reason
        return chunks

    def end(self, *, done: bool) -> list[ChatChunk]:
        """What was held back. ``done``: the end marker arrived, which is as good as a finish reason."""
        chunks: list[ChatChunk] = []
        for index, answer in self._answers.items():
            high_surrogate, answer.high_surrogate = whole_text(answer.high_surrogate), ""
            cut = answer.finished == "length" or bool(answer.calls) or not (done or answer.finished)
            held = [Delta(content=high_surrogate)]
            if not answer.separates_reasoning:
                held = [*answer.thoughts.feed(high_surrogate), *answer.thoughts.finish(cut=cut)]
            for delta in held:
                if delta.content or delta.reasoning:
                    answer.content.append(delta.content)
                    chunks.append(self._chunk(index, delta, None))
            late = (ToolCallDelta(at, None, None, call.late) for at, call in enumerate(answer.calls) if call.late)
            if held_calls := tuple(late):
                chunks.append(self._chunk(index, Delta(tool_calls=held_calls), None))
            if answer.finished is None and done:
                answer.finished = "tool_calls" if answer.calls else "stop"
        return chunks

    def last(self) -> list[ChatChunk]:
        """The closing chunks, one per answer; the very last one has the usage."""
        ends = sorted(
            (index, answer.finished) for index, answer in self._answers.items() if answer.finished is not None
        )
        return [
            ChatChunk(
                finish_reason=reason,
                usage=(self.usage or Usage()) if index == ends[-1][0] else None,
                index=index,
                model=self.model,
            )
            for index, reason in ends
        ]

    def whole(self) -> ChatReply:
        """The answers so far, for judging structured ones."""
        replies = [
            ChatReply(
                content="".join(answer.content),
                finish_reason=answer.finished or "stop",
                tool_calls=(ToolCall("", "", ""),) if answer.calls else (),
                model=self.model,
            )
            for _, answer in sorted(self._answers.items())
        ] or [ChatReply(model=self.model)]
        return replace(replies[0], usage=self.usage or Usage(), alternatives=tuple(replies[1:]))

    def _chunk(self, index: int, delta: Delta, logprobs: Any) -> ChatChunk:
        return ChatChunk(delta=delta, index=index, model=self.model, logprobs=logprobs)

    def _deltas(self, answer: _Answer, choice: Mapping[str, Any]) -> list[Delta]:
        # A whole message beside its pieces repeats them.
        found = parts_of(choice["delta"] if "delta" in choice else choice.get("message"))
        text = found.text or (text_of(choice.get("text")) if "delta" not in choice else "")
        text = _join_surrogates(answer, text)
        deltas = [Delta(reasoning=whole_text(found.thoughts))]
        if found.thoughts and not answer.separates_reasoning:
            answer.separates_reasoning = self._habit.seen = True
            deltas += answer.thoughts.finish()
        deltas += [Delta(content=text)] if answer.separates_reasoning else answer.thoughts.feed(text)
        deltas.append(Delta(tool_calls=_call_deltas(answer.calls, found.calls)))
        kept = [delta for delta in deltas if delta != Delta()]
        answer.content.extend(delta.content for delta in kept)
        return kept


def _join_surrogates(answer: _Answer, text: str) -> str:
    """``text`` with surrogate pairs that were split between two chunks joined."""
    text, answer.high_surrogate = answer.high_surrogate + text, ""
    if text and "\ud800" <= text[-1] <= "\udbff":
        text, answer.high_surrogate = text[:-1], text[-1]
    return whole_text(text)


def _call_deltas(known: list[_Call], pieces: tuple[Mapping[str, Any], ...]) -> tuple[ToolCallDelta, ...]:
    """Ids and names once, whatever the endpoint repeats or leaves out."""
    deltas: list[ToolCallDelta] = []
    for piece in pieces:
        name, arguments = name_and_arguments(piece)
        index, wire_id = piece.get("index"), piece.get("id") if isinstance(piece.get("id"), str) else ""
        position = _position_of(known, index, wire_id or "", name)
        if position is None:
            position = len(known)
            given = new_id(wire_id, [call.given_id for call in known])
            known.append(_Call(index, wire_id or "", name, arguments, given))
            deltas.append(ToolCallDelta(position, given, name or None, "" if known[-1].odd else arguments))
            continue
        call = known[position]
        new_name = name if name and not call.name else None
        call.name, call.arguments = call.name or name, call.arguments + arguments
        deltas.append(ToolCallDelta(position, None, new_name, "" if call.odd else arguments))
    return tuple(deltas)


def _position_of(known: list[_Call], index: Any, wire_id: str, name: str) -> int | None:
    """Of the call that a piece continues; ``None`` for a new one. Without number and id it can only be the last one."""
    first = 0 if index is not None or wire_id else len(known) - 1
    for position in range(len(known) - 1, max(first, 0) - 1, -1):
        if known[position].is_continued_by(index, wire_id, name):
            return position
    return None
