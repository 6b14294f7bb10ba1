"""Thoughts that an endpoint left in the answer's text, told apart by the tags around them."""

from __future__ import annotations

import re

from parlant_local.engine.parsing.reasoning import ThoughtSplitter
from parlant_local.messages import Delta
from parlant_local.profiles import ReasoningTags

__all__ = ["TaggedThoughts", "without_thoughts"]

_TAGS = tuple(
    ReasoningTags(start, end)
    for start, end in (
        ("<think>", "</think>"),
        ("<thinking>", "</thinking>"),
        ("<thought>", "</thought>"),
        ("<reasoning>", "</reasoning>"),
        ("[THINK]", "[/THINK]"),
        ("<seed:think>", "</seed:think>"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("◁think▷", "◁/think▷"),
    )
)
_LONGEST = max(len(tags.start) for tags in _TAGS)
# A template that opens the thoughts itself leaves only their end in the answer, on a line of its own.
_OPENED_BEFORE = re.compile(r"\A(?:(.*?)\n)?</think>[ \t]*(?:\n+|\Z)", re.DOTALL)


class TaggedThoughts:
    """Splits text that comes in pieces. Thoughts stand at the beginning only; a tag later on is text."""

    def __init__(self) -> None:
        self._held = ""
        self._splitter: ThoughtSplitter | None = None
        self._plain = False

    def feed(self, text: str) -> list[Delta]:
        if self._plain:
            return [Delta(content=text)] if text else []
        if self._splitter is not None:
            return self._splitter.feed(text)
        self._held += text
        start = self._held.lstrip()
        tags = next((tags for tags in _TAGS if start.startswith(tags.start)), None)
        if tags is not None:
            self._splitter = ThoughtSplitter(tags, opened=False)
            return self._splitter.feed(self._take())
        if len(start) < _LONGEST and any(tags.start.startswith(start) for tags in _TAGS):
            return []  # may become a tag yet
        self._plain = True
        return [Delta(content=self._take())]

    def finish(self) -> list[Delta]:
        if self._splitter is not None:
            return self._splitter.finish()
        return [Delta(content=held)] if (held := self._take()) else []

    def _take(self) -> str:
        held, self._held = self._held, ""
        return held


def without_thoughts(text: str) -> tuple[str, str]:
    """A whole answer's content, and the thoughts that stood in it."""
    splitter = TaggedThoughts()
    deltas = [*splitter.feed(text), *splitter.finish()]
    content = "".join(delta.content for delta in deltas)
    thoughts = "\n".join(delta.reasoning for delta in deltas if delta.reasoning)
    if not thoughts and (found := _OPENED_BEFORE.match(content)) is not None:
        return content[found.end() :], (found.group(1) or "").strip()
    return content, thoughts
