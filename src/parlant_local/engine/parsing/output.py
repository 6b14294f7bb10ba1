"""From a model's text to deltas: thoughts, content, calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from parlant_local.engine.parsing.reasoning import AnswerTags, InterleavedThoughts, ThoughtSplitter, Trimmed
from parlant_local.messages import Delta, ToolCall, ToolCallDelta
from parlant_local.profiles import Profile

__all__ = ["Collected", "ContentReader", "OutputParser", "PlainContent", "collect"]


class ContentReader(Protocol):
    """Turns content, without thoughts, into deltas."""

    warnings: list[str]
    count: int

    def feed(self, text: str) -> list[Delta]: ...

    def finish(self, *, truncated: bool = False) -> list[Delta]: ...


class PlainContent:
    """Content that is not searched for calls."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.count = 0

    def feed(self, text: str) -> list[Delta]:
        return [Delta(content=text)] if text else []

    def finish(self, *, truncated: bool = False) -> list[Delta]:  # noqa: ARG002  # truncated text is still text
        return []


class OutputParser:
    """Parses one streamed answer; the result does not depend on how the text is chunked.

    ``thoughts_apart``: the engine separates thoughts from the answer (it was given a prelude). ``opened``: the prompt ends
    within thoughts, and they are part of the text. ``begun``: the text contains what each part begins with. ``answering``:
    the prompt ends with the answer's opening mark.
    """

    def __init__(
        self,
        profile: Profile,
        content: ContentReader,
        *,
        thoughts_apart: bool = False,
        opened: bool = False,
        begun: bool = False,
        answering: bool = False,
    ) -> None:
        self._content = content
        self._thoughts = Trimmed()
        self._at_start = thoughts_apart
        """Whether white space at the beginning of the answer still belongs to the thoughts before it."""
        tags = profile.reasoning
        self._splitter = ThoughtSplitter(tags, opened=opened) if tags else None
        self._interleaved = InterleavedThoughts(tags) if tags and tags.call else None
        self._answer = AnswerTags(profile.answer_tags, opened=answering) if profile.answer_tags else None
        self._begun = "" if thoughts_apart or opened or begun else profile.begun

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._content.warnings)

    @property
    def calls(self) -> int:
        """Calls found so far."""
        return self._content.count

    def feed(self, text: str, thoughts: str = "") -> list[Delta]:
        """More of the answer. ``thoughts``: those that the engine has already separated, always before any text."""
        deltas = self._thoughts.feed(thoughts) if thoughts else []
        if self._begun and text:
            text, self._begun = self._begun + text, ""
        if self._at_start:
            text = text.lstrip()
            self._at_start = not text
        if self._splitter is None:
            return deltas + self._read(text)
        return deltas + [result for delta in self._splitter.feed(text) for result in self._handled(delta)]

    def finish(self, *, truncated: bool = False) -> list[Delta]:
        deltas: list[Delta] = []
        if self._splitter is not None:
            if self._splitter.thinking and not truncated:
                self._content.warnings.append("The model ended within its thoughts; there is no answer.")
            deltas += [result for delta in self._splitter.finish() for result in self._handled(delta)]
        if self._answer is not None:
            deltas += self._content.feed(self._answer.feed("", final=True))
        rest = self._content.finish(truncated=truncated)
        return deltas + (
            self._interleaved.feed(rest) + self._interleaved.finish() if self._interleaved is not None else rest
        )

    def _handled(self, delta: Delta) -> list[Delta]:
        return self._read(delta.content) if delta.content else [delta]

    def _read(self, text: str) -> list[Delta]:
        deltas = self._content.feed(self._answer.feed(text) if self._answer is not None else text)
        return deltas if self._interleaved is None else self._interleaved.feed(deltas)


class Collected:
    """Accumulates deltas."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, list[str]] = {}
        self._heads: dict[int, tuple[str, str]] = {}

    def add(self, delta: Delta) -> None:
        self._content.append(delta.content)
        self._reasoning.append(delta.reasoning)
        for call in delta.tool_calls:
            self._add_call(call)

    def _add_call(self, call: ToolCallDelta) -> None:
        if call.name is not None:
            self._heads[call.index] = (call.id or "", call.name)
        self._calls.setdefault(call.index, []).append(call.arguments)

    @property
    def content(self) -> str:
        return "".join(self._content)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(*self._heads[index], arguments="".join(pieces)) for index, pieces in sorted(self._calls.items())
        )


def collect(deltas: Iterable[Delta]) -> Collected:
    collected = Collected()
    for delta in deltas:
        collected.add(delta)
    return collected
