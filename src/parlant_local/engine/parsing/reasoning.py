"""Thoughts told from the answer, in text that comes in pieces."""

from __future__ import annotations

from typing import Literal

from parlant_local.engine.parsing.holdback import overlap
from parlant_local.messages import Delta
from parlant_local.profiles import ReasoningTags

__all__ = ["AnswerTags", "ThoughtSplitter", "closes_thoughts", "opens_thoughts"]


def opens_thoughts(prompt: str, tags: ReasoningTags) -> bool:
    """Whether the rendered prompt ends inside the model's thoughts."""
    return prompt.rstrip().endswith(tags.start.strip())


def closes_thoughts(prompt: str, tags: ReasoningTags) -> bool:
    """Whether the rendered prompt ends right after thoughts, so that none will come."""
    return prompt.rstrip().endswith(tags.end.strip())


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


class AnswerTags:
    """Takes away the tags that some families put around the answer after their thoughts."""

    def __init__(self, tags: ReasoningTags) -> None:
        self._tags = tags
        self._buffer = ""
        self._state: Literal["start", "inside", "plain", "done"] = "start"

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
