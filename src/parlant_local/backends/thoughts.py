"""Reasoning that an endpoint left in the content, separated by the tags around it."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
        ("<|channel>thought", "<channel|>"),
        ("<mm:think>", "</mm:think>"),
    )
)
_STARTS = tuple((mark, tags) for tags in _TAGS for mark in (tags.start, tags.end))
_LONGEST = max(len(mark) for mark, _ in _STARTS)
_QUOTES = frozenset("`'\"")
_THINKS = re.compile(r"\b(r1|qwq|z1|thinking|thinker|reasoner|reasoning)\b", re.IGNORECASE)
"""In a model's name: it thinks before it answers."""


@dataclass
class Habit:
    """Whether answers begin amid thoughts, because the template writes the opening tag: seen from answers, ``None`` until then."""

    opened: ReasoningTags | None = None
    seen: bool = False


def thinks_by_name(model: str) -> bool:
    return _THINKS.search(model.replace("_", "-")) is not None


class TaggedThoughts:
    """Splits text that comes in pieces. Thoughts stand at the beginning only; a tag later on is text.

    Where their opening tag stood in the prompt, only the closing one tells them from the answer. By the ``habit`` of earlier
    answers they are given as they come; with ``hold`` a beginning is kept back until it is clear what it is.
    """

    def __init__(self, habit: Habit | None = None, *, hold: bool = False) -> None:
        self._habit = habit or Habit()
        self._hold = hold and not self._habit.seen
        self._held = ""
        self._seen = ""
        """What was given as thoughts by habit, or the end of what was given as text."""
        self._told = False
        """Whether there is nothing more to learn from the text."""
        self._splitter: ThoughtSplitter | None = None
        self._by_habit = self._plain = False

    def feed(self, text: str) -> list[Delta]:
        if self._plain:
            self._watch(text)
            return [Delta(content=text)] if text else []
        if self._splitter is not None:
            return self._split(text)
        self._held += text
        start = self._held.lstrip()
        tags = next((tags for mark, tags in _STARTS if start.startswith(mark)), None)
        if tags is not None:
            return self._begin(tags, self._take())
        if len(start) < _LONGEST and any(mark.startswith(start) for mark, _ in _STARTS):
            return []  # may become a tag yet
        if self._habit.opened is not None:
            self._by_habit = True
            self._splitter = ThoughtSplitter(self._habit.opened, opened=True)
            return self._split(self._take())
        if self._hold:
            return self._look()
        self._plain = True
        return self.feed(self._take())

    def finish(self, *, cut: bool = False) -> list[Delta]:
        """``cut``: the answer ended before it was whole."""
        if self._by_habit and self._splitter is not None and self._splitter.thinking and not cut:
            self._habit.opened = None  # these were no thoughts: an answer is never lost
            return [*self._splitter.finish(), Delta(content=self._seen)]
        if self._splitter is not None:
            return self._splitter.finish()
        self._habit.seen = True
        return [Delta(content=held)] if (held := self._take()) else []

    def _begin(self, tags: ReasoningTags, text: str) -> list[Delta]:
        self._habit.seen = True
        self._splitter = ThoughtSplitter(tags, opened=False)
        return self._splitter.feed(text)

    def _split(self, text: str) -> list[Delta]:
        assert self._splitter is not None
        if self._by_habit and self._splitter.thinking:
            self._seen += text
        return self._splitter.feed(text)

    def _look(self) -> list[Delta]:
        """Whether what is held has a closing tag by now."""
        if (found := _closing(self._held)) is None:
            return []
        tags, place = found
        self._habit.opened = tags
        held = self._take()
        thought = held[:place].strip()
        return [*([Delta(reasoning=thought)] if thought else []), *self._begin(tags, held[place:])]

    def _watch(self, text: str) -> None:
        """Learns from what was taken for an answer, for the next one."""
        if self._told:
            return
        around = self._seen + text
        self._seen = around[-_LONGEST:]
        if any(tags.start in around for tags in _TAGS):
            self._told = True
        elif (found := _closing(around)) is not None:
            self._habit.opened, self._told = found[0], True

    def _take(self) -> str:
        held, self._held = self._held, ""
        return held


def _closing(text: str) -> tuple[ReasoningTags, int] | None:
    """The first closing tag that nothing opened, and that nobody quotes."""
    found = [(place, tags) for tags in _TAGS if (place := _unopened(text, tags)) >= 0]
    if not found:
        return None
    place, tags = min(found, key=lambda item: item[0])
    return tags, place


def _unopened(text: str, tags: ReasoningTags) -> int:
    place = text.find(tags.end)
    while place > 0 and text[place - 1] in _QUOTES:
        place = text.find(tags.end, place + 1)
    return -1 if place < 0 or tags.start in text[:place] else place


def without_thoughts(text: str, habit: Habit | None = None) -> tuple[str, str]:
    """A whole answer's content, and the thoughts that stood in it."""
    found = Habit()
    splitter = TaggedThoughts(found, hold=True)
    deltas = [*splitter.feed(text), *splitter.finish()]
    if habit is not None:
        habit.opened, habit.seen = found.opened, True
    content = "".join(delta.content for delta in deltas)
    return content, "\n".join(delta.reasoning for delta in deltas if delta.reasoning)
