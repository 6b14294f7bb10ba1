"""Thoughts told from the answer, in text that comes in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from parlant_local.engine.parsing.holdback import overlap
from parlant_local.messages import Delta
from parlant_local.profiles import Profile, ReasoningTags

__all__ = [
    "AnswerTags",
    "ThoughtSplitter",
    "ThoughtsAmid",
    "Trimmed",
    "closes_thoughts",
    "opens_answer",
    "opens_thoughts",
]


def opens_thoughts(prompt: str, tags: ReasoningTags) -> bool:
    """Whether the rendered prompt ends inside the model's thoughts."""
    return prompt.rstrip().endswith(tags.start.strip())


def closes_thoughts(prompt: str, tags: ReasoningTags) -> bool:
    """Whether the rendered prompt ends right after thoughts, so that none will come."""
    return prompt.rstrip().endswith(tags.end.strip())


def opens_answer(prompt: str, profile: Profile) -> bool:
    """Whether the rendered prompt ends with the mark of an answer, so that no thoughts will come."""
    tags = profile.answer_tags
    return tags is not None and bool(tags.start) and prompt.rstrip().endswith(tags.start.strip())


class ThoughtSplitter:
    """Splits an answer into thoughts and content, the same way whatever pieces it comes in.

    Thoughts stand at the beginning only: a tag inside the answer is text. White space around the tags belongs to
    neither.
    """

    def __init__(self, tags: ReasoningTags, *, opened: bool) -> None:
        self._tags = tags
        self._ends = tuple(filter(None, (tags.end, tags.call)))
        self._buffer = ""
        self._state: Literal["undecided", "thinking", "content"] = "thinking" if opened else "undecided"
        self._begun = False
        """Whether the present thoughts have any text yet."""
        self._thought = False
        """Whether there were thoughts before."""

    @property
    def thinking(self) -> bool:
        return self._state == "thinking"

    def feed(self, text: str) -> list[Delta]:
        if self._state == "content" and not self._buffer:
            return [Delta(content=text)] if text else []
        self._buffer += text
        return self._advance(final=False)

    def finish(self) -> list[Delta]:
        return self._advance(final=True)

    def _advance(self, *, final: bool) -> list[Delta]:
        deltas: list[Delta] = []
        while True:
            state = self._state
            if state == "thinking":
                self._think(deltas, final=final)
            elif state == "undecided":
                self._decide(final=final)
            if self._state == state:
                break
        if self._state == "content" and self._buffer:
            deltas.append(Delta(content=self._buffer))
            self._buffer = ""
        return deltas

    def _decide(self, *, final: bool) -> None:
        text = self._buffer.lstrip()
        if text.startswith(self._tags.start):
            self._buffer = text[len(self._tags.start) :]
            self._state, self._begun = "thinking", False
        elif not self._thought and text.startswith(self._tags.end):
            self._buffer = text[len(self._tags.end) :]  # closed before they were opened: there are none
            self._thought = True
        elif (
            self._tags.start.startswith(text) or (not self._thought and self._tags.end.startswith(text))
        ) and not final:
            pass  # may become a tag yet
        else:
            if self._thought:
                self._buffer = text
            self._state = "content"

    def _think(self, deltas: list[Delta], *, final: bool) -> None:
        if not self._begun:
            self._buffer = self._buffer.lstrip()
        end = self._buffer.find(self._tags.end)
        call = self._buffer.find(self._tags.call) if self._tags.call else -1
        if call >= 0 and not 0 <= end < call:
            thought, self._buffer = self._buffer[:call].rstrip(), self._buffer[call:]
            self._state, self._thought = "content", True
        elif end >= 0:
            thought, self._buffer = self._buffer[:end].rstrip(), self._buffer[end + len(self._tags.end) :]
            self._state, self._thought = "undecided", True
        elif final:
            thought, self._buffer = self._buffer.rstrip(), ""
        else:
            whole = self._buffer[: len(self._buffer) - overlap(self._buffer, self._ends)].rstrip()
            thought, self._buffer = whole, self._buffer[len(whole) :]
        if thought:
            self._begun = True
            deltas.append(Delta(reasoning=thought))


class Trimmed:
    """Thoughts without the white space at their ends."""

    def __init__(self) -> None:
        self._space = ""
        self.begun = False

    def feed(self, text: str) -> list[Delta]:
        text = self._space + text if self.begun else text.lstrip()
        stripped = text.rstrip()
        self._space = text[len(stripped) :] if stripped or self.begun else ""
        if not stripped:
            return []
        self.begun = True
        return [Delta(reasoning=stripped)]


class ThoughtsAmid:
    """For families that think and call anywhere in a turn: thoughts in what was read as content, and their lone marks.

    Text behind a call goes on with the thoughts before it where their end follows, which only the end tells.
    """

    def __init__(self, tags: ReasoningTags) -> None:
        self._tags = tags
        self._held = ""
        self._called = False
        self._thoughts: Trimmed | None = None

    def feed(self, deltas: Iterable[Delta]) -> list[Delta]:
        found: list[Delta] = []
        for delta in deltas:
            self._called = self._called or bool(delta.tool_calls)
            found += self._read(delta.content) if delta.content else [delta]
        return found

    def finish(self) -> list[Delta]:
        rest, self._held = self._held, ""
        return self._given(rest)

    def _read(self, text: str) -> list[Delta]:
        found: list[Delta] = []
        self._held += text
        marks = (self._tags.start, self._tags.end)
        while places := [(at, mark) for mark in marks if (at := self._held.find(mark)) >= 0]:
            at, mark = min(places)
            before, self._held = self._held[:at], self._held[at + len(mark) :]
            if self._called and mark == self._tags.end and self._thoughts is None:
                self._thoughts = Trimmed()
            found += self._given(before)
            self._thoughts = Trimmed() if mark == self._tags.start else None
            self._called = False
        if not self._called:
            whole = len(self._held) - overlap(self._held, marks)
            text, self._held = self._held[:whole], self._held[whole:]
            found += self._given(text)
        return found

    def _given(self, text: str) -> list[Delta]:
        if self._thoughts is not None:
            return self._thoughts.feed(text)
        return [Delta(content=text)] if text else []


class AnswerTags:
    """Takes away the tags that some families put around the answer after their thoughts.

    ``opened``: the prompt has the first one.
    """

    def __init__(self, tags: ReasoningTags, *, opened: bool = False) -> None:
        self._tags = tags
        self._buffer = ""
        self._state: Literal["start", "inside", "plain", "done"] = "inside" if opened else "start"

    def feed(self, text: str, *, final: bool = False) -> str:
        self._buffer += text
        if self._state == "start":
            stripped = self._buffer.lstrip()
            if stripped.startswith(self._tags.start):
                self._buffer, self._state = stripped[len(self._tags.start) :], "inside"
            elif self._tags.start.startswith(stripped) and not final:
                return ""
            else:
                self._state = "plain"
        if self._state == "inside" and not self._tags.end:
            self._state = "plain"
        if self._state == "inside":
            end = self._buffer.find(self._tags.end)
            if end >= 0:
                self._buffer = self._buffer[:end] + self._buffer[end + len(self._tags.end) :]
                self._state = "done"
            elif not final:
                keep = overlap(self._buffer, (self._tags.end,))
                cut = len(self._buffer) - keep
                given, self._buffer = self._buffer[:cut], self._buffer[cut:]
                return given
        given, self._buffer = self._buffer, ""
        return given
