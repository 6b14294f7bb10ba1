"""Separates thoughts from the answer in streamed text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from parlant_local.engine.parsing.holdback import overlap
from parlant_local.messages import Delta
from parlant_local.profiles import Profile, ReasoningTags

__all__ = [
    "AnswerTags",
    "InterleavedThoughts",
    "ThoughtSplitter",
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
    """Splits an answer into thoughts and content; the result does not depend on how the text is chunked.

    Thoughts only come first: a tag inside the answer is text. White space around the tags belongs to neither.
    """

    def __init__(self, tags: ReasoningTags, *, opened: bool) -> None:
        self._tags = tags
        self._ends = tuple(filter(None, (tags.end, tags.call)))
        self._buffer = ""
        self._state: Literal["undecided", "thinking", "content"] = "thinking" if opened else "undecided"
        self._has_text = False
        """Whether the current thoughts have any text yet."""
        self._had_thoughts = False
        """Whether there were thoughts already."""

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
            self._state, self._has_text = "thinking", False
        elif not self._had_thoughts and text.startswith(self._tags.end):
            self._buffer = text[len(self._tags.end) :]  # closed without being opened: there are none
            self._had_thoughts = True
        elif (
            self._tags.start.startswith(text) or (not self._had_thoughts and self._tags.end.startswith(text))
        ) and not final:
            pass  # may still become a tag
        else:
            if self._had_thoughts:
                self._buffer = text
            self._state = "content"

    def _think(self, deltas: list[Delta], *, final: bool) -> None:
        if not self._has_text:
            self._buffer = self._buffer.lstrip()
        end = self._buffer.find(self._tags.end)
        call = self._buffer.find(self._tags.call) if self._tags.call else -1
        if call >= 0 and not 0 <= end < call:
            thought, self._buffer = self._buffer[:call].rstrip(), self._buffer[call:]
            self._state, self._had_thoughts = "content", True
        elif end >= 0:
            thought, self._buffer = self._buffer[:end].rstrip(), self._buffer[end + len(self._tags.end) :]
            self._state, self._had_thoughts = "undecided", True
        elif final:
            thought, self._buffer = self._buffer.rstrip(), ""
        else:
            whole = self._buffer[: len(self._buffer) - overlap(self._buffer, self._ends)].rstrip()
            thought, self._buffer = whole, self._buffer[len(whole) :]
        if thought:
            self._has_text = True
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


class InterleavedThoughts:
    """For families that think and call anywhere in a turn: finds thoughts, and unpaired marks, in what was parsed as content.

    Text after a call continues the thoughts before it if their end mark follows, so it is held until that is decided.
    """

    def __init__(self, tags: ReasoningTags) -> None:
        self._tags = tags
        self._buffer = ""
        self._after_call = False
        self._thoughts: Trimmed | None = None

    def feed(self, deltas: Iterable[Delta]) -> list[Delta]:
        found: list[Delta] = []
        for delta in deltas:
            self._after_call = self._after_call or bool(delta.tool_calls)
            found += self._read(delta.content) if delta.content else [delta]
        return found

    def finish(self) -> list[Delta]:
        rest, self._buffer = self._buffer, ""
        return self._as_deltas(rest)

    def _read(self, text: str) -> list[Delta]:
        found: list[Delta] = []
        self._buffer += text
        marks = (self._tags.start, self._tags.end)
        while places := [(at, mark) for mark in marks if (at := self._buffer.find(mark)) >= 0]:
            at, mark = min(places)
            before, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
            if self._after_call and mark == self._tags.end and self._thoughts is None:
                self._thoughts = Trimmed()
            found += self._as_deltas(before)
            self._thoughts = Trimmed() if mark == self._tags.start else None
            self._after_call = False
        if not self._after_call:
            whole = len(self._buffer) - overlap(self._buffer, marks)
            text, self._buffer = self._buffer[:whole], self._buffer[whole:]
            found += self._as_deltas(text)
        return found

    def _as_deltas(self, text: str) -> list[Delta]:
        if self._thoughts is not None:
            return self._thoughts.feed(text)
        return [Delta(content=text)] if text else []


class AnswerTags:
    """Strips the tags that some families put around the answer after their thoughts.

    ``opened``: the prompt contains the opening tag.
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
