"""Bringing a call down whose arguments stand between marks: end the value that is open, write what is required, close."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from parlant_local.engine.constraint.call_marks import CallMarks
from parlant_local.engine.constraint.landing import Landing, LandingStrip
from parlant_local.engine.constraint.matcher import ConstraintMatcher
from parlant_local.errors import SchemaError

__all__ = ["MarkedLanding", "landing_of"]

_LETTER = "q"  # what a free text may go on with, and next to nothing else


class MarkedLanding(Landing):
    """The way down of one call. Texts without quotes can't be told from marks by looking at them: the grammar is asked."""

    def __init__(self, strip: LandingStrip, watch: int, marks: CallMarks) -> None:
        super().__init__(strip, watch)
        self._closing = [mark.encode() for mark in marks.closing]
        self._opening = [mark.encode() for mark in marks.opening]
        every = [*self._closing, *self._opening]
        self._reach = max(map(len, every), default=1)
        self._signs = frozenset(mark[0] for mark in every if mark) | frozenset(b'"\\')
        self._letter = next(iter(strip.single(_LETTER)), -1)
        self._spelt: dict[bytes, list[int]] = {}
        self._longest = max((len(self._tokens(mark)) for mark in self._closing), default=1)
        self._tail = b""

    def feed(self, text: bytes) -> None:
        if not self._idle(text):
            self._needed = None
        self._tail = (self._tail + text)[-self._reach :]

    def allows(self, matcher: ConstraintMatcher, token: int, left: int) -> bool:
        data = self._strip.piece(token, special=True)
        stays = self._idle(data) and self._free(matcher)
        # Near a text's greatest length another element's mark can be what fits, and has to be paid for.
        if stays and self._needed is not None and self._needed + self._longest < left:
            return True
        after = matcher.copy()
        after.accept([token])
        path = self._down(after, left - 1, self._tail + data)
        self._needed = len(path) if path is not None and stays else None
        return path is not None

    def path(self, matcher: ConstraintMatcher, left: int) -> list[int] | None:
        path = self._down(matcher.copy(), left, self._tail)
        self._lost = path is None
        return path

    def _down(self, matcher: ConstraintMatcher, left: int, said: bytes) -> list[int] | None:
        path: list[int] = []
        used: Counter[int] = Counter()
        try:
            while not matcher.finished:
                tokens = matcher.forced()
                if not tokens and matcher.complete:
                    return path
                tokens = tokens or self._onward(matcher, said[-self._reach :], used)
                path += tokens
                if not tokens or len(path) > left:
                    return None
                matcher.accept(tokens)
                said += b"".join(self._strip.piece(token, special=True) for token in tokens)
        except SchemaError:  # the grammar met a limit on the way
            return None
        return path

    def _onward(self, matcher: ConstraintMatcher, said: bytes, used: Counter[int]) -> list[int]:
        free = self._free(matcher)
        quote = self._strip.within[0] if self._strip.within else -1
        if free and quote >= 0 and self._leaves(matcher, [quote]):
            return [quote]  # a string of JSON, in which marks are text
        for rest in _rests(self._closing, said):
            if self._leaves(matcher, tokens := self._tokens(rest)):
                return tokens
        for rest in _rests(self._opening, said):
            if matcher.allows_all(tokens := self._tokens(rest)):
                return tokens
        within = sorted(self._strip.within[1:], key=lambda token: used[token])
        for token in within if free else (*self._strip.outside, *within):
            if matcher.allows(token):
                used[token] += 1
                return [token]
        allowed = np.flatnonzero(matcher.mask(0))
        return [int(allowed[0])] if allowed.size else []

    def _leaves(self, matcher: ConstraintMatcher, tokens: list[int]) -> bool:
        """Whether ``tokens`` are allowed, and end what is open instead of being part of it."""
        if not matcher.allows_all(tokens):
            return False
        after = matcher.copy()
        after.accept(tokens)
        return after.finished or not self._free(after)

    def _free(self, matcher: ConstraintMatcher) -> bool:
        return self._letter >= 0 and matcher.allows(self._letter)

    def _idle(self, text: bytes) -> bool:
        """Whether a free text is as far from its end after ``text`` as before."""
        return text.isascii() and self._signs.isdisjoint(text)

    def _tokens(self, rest: bytes) -> list[int]:
        if rest not in self._spelt:
            self._spelt[rest] = self._strip.spelt(rest.decode("utf-8", "replace"))
        return self._spelt[rest]


def landing_of(strip: LandingStrip, matcher: ConstraintMatcher) -> Landing | None:
    """The way down of an answer; None where its grammar can't be landed."""
    if matcher.landing_tokens is None:
        return None
    if matcher.marks is not None:
        return MarkedLanding(strip, matcher.landing_tokens, matcher.marks)
    return Landing(strip, matcher.landing_tokens)


def _rests(marks: list[bytes], said: bytes) -> Iterator[bytes]:
    """What is left of each mark, most of which may have been said already."""
    for mark in marks:
        for length in range(min(len(mark) - 1, len(said)), -1, -1):
            if said.endswith(mark[:length]):
                yield mark[length:]
