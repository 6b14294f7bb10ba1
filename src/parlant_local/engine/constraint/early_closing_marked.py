"""Closing a tool call early whose arguments are between marks: end the open value, write what is required, close the call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from parlant_local.engine.constraint.call_marks import CallMarks
from parlant_local.engine.constraint.early_closing import ClosingTokens, EarlyCloser
from parlant_local.engine.constraint.matcher import ConstraintMatcher
from parlant_local.errors import SchemaError

__all__ = ["MarkedEarlyCloser", "early_closer_for"]

_FILLER = "q"  # free text may always continue with it, and next to nothing else may


class MarkedEarlyCloser(EarlyCloser):
    """Closes one call early. Unquoted text can't be told from marks by looking at it, so the grammar decides."""

    def __init__(self, closing_tokens: ClosingTokens, budget: int, marks: CallMarks) -> None:
        super().__init__(closing_tokens, budget)
        self._closing = [mark.encode() for mark in marks.closing]
        self._opening = [mark.encode() for mark in marks.opening]
        every = [*self._closing, *self._opening]
        self._longest_mark = max(map(len, every), default=1)
        self._significant = frozenset(mark[0] for mark in every if mark) | frozenset(b'"\\')
        self._filler = next(iter(closing_tokens.single(_FILLER)), -1)
        self._tokenized: dict[bytes, list[int]] = {}
        self._longest_closing = max((len(self._tokens(mark)) for mark in self._closing), default=1)
        self._tail = b""

    def feed(self, text: bytes) -> None:
        if not self._is_filler(text):
            self._cost = None
        self._tail = (self._tail + text)[-self._longest_mark :]

    def allows(self, matcher: ConstraintMatcher, token: int, left: int) -> bool:
        data = self._closing_tokens.piece(token, special=True)
        stays = self._is_filler(data) and self._in_free_text(matcher)
        # Near a text's maximum length only another element's closing mark may fit, so its tokens are reserved.
        if stays and self._cost is not None and self._cost + self._longest_closing < left:
            return True
        after = matcher.copy()
        after.accept([token])
        ending = self._simulate_marked(after, left - 1, self._tail + data)
        self._cost = len(ending) if ending is not None and stays else None
        return ending is not None

    def shortest_ending(self, matcher: ConstraintMatcher, left: int) -> list[int] | None:
        ending = self._simulate_marked(matcher.copy(), left, self._tail)
        self._gave_up = ending is None
        return ending

    def _simulate_marked(self, matcher: ConstraintMatcher, left: int, text: bytes) -> list[int] | None:
        ending: list[int] = []
        used: Counter[int] = Counter()
        try:
            while not matcher.finished:
                tokens = matcher.forced()
                if not tokens and matcher.complete:
                    return ending
                tokens = tokens or self._next_tokens(matcher, text[-self._longest_mark :], used)
                ending += tokens
                if not tokens or len(ending) > left:
                    return None
                matcher.accept(tokens)
                text += b"".join(self._closing_tokens.piece(token, special=True) for token in tokens)
        except SchemaError:  # the grammar hit a limit
            return None
        return ending

    def _next_tokens(self, matcher: ConstraintMatcher, text: bytes, used: Counter[int]) -> list[int]:
        free = self._in_free_text(matcher)
        quote = self._closing_tokens.within[0] if self._closing_tokens.within else -1
        if free and quote >= 0 and self._ends_value(matcher, [quote]):
            return [quote]  # a JSON string, in which marks are text
        for rest in _remainders(self._closing, text):
            if self._ends_value(matcher, tokens := self._tokens(rest)):
                return tokens
        for rest in _remainders(self._opening, text):
            if matcher.allows_all(tokens := self._tokens(rest)):
                return tokens
        within = sorted(self._closing_tokens.within[1:], key=lambda token: used[token])
        for token in within if free else (*self._closing_tokens.outside, *within):
            if matcher.allows(token):
                used[token] += 1
                return [token]
        allowed = np.flatnonzero(matcher.mask(0))
        return [int(allowed[0])] if allowed.size else []

    def _ends_value(self, matcher: ConstraintMatcher, tokens: list[int]) -> bool:
        """Whether ``tokens`` are allowed, and end the open value instead of being part of it."""
        if not matcher.allows_all(tokens):
            return False
        after = matcher.copy()
        after.accept(tokens)
        return after.finished or not self._in_free_text(after)

    def _in_free_text(self, matcher: ConstraintMatcher) -> bool:
        return self._filler >= 0 and matcher.allows(self._filler)

    def _is_filler(self, text: bytes) -> bool:
        """Whether ``text`` leaves free text as far from its end as before."""
        return text.isascii() and self._significant.isdisjoint(text)

    def _tokens(self, rest: bytes) -> list[int]:
        if rest not in self._tokenized:
            self._tokenized[rest] = self._closing_tokens.exact_tokens(rest.decode("utf-8", "replace"))
        return self._tokenized[rest]


def early_closer_for(closing_tokens: ClosingTokens, matcher: ConstraintMatcher) -> EarlyCloser | None:
    """The closer for one answer; None where its grammar can't be closed early."""
    if matcher.closing_budget is None:
        return None
    if matcher.marks is not None:
        return MarkedEarlyCloser(closing_tokens, matcher.closing_budget, matcher.marks)
    return EarlyCloser(closing_tokens, matcher.closing_budget)


def _remainders(marks: list[bytes], text: bytes) -> Iterator[bytes]:
    """What is left of each mark, the beginning of which may already be written."""
    for mark in marks:
        for length in range(min(len(mark) - 1, len(text)), -1, -1):
            if text.endswith(mark[:length]):
                yield mark[length:]
