"""Closing a JSON answer early when tokens run low: close what is open in as few tokens as the grammar allows.

A bounded schema may still allow more text than ``max_tokens``. Rather than truncate the answer and lose it, its shortest
ending is simulated on a copy of the matcher once tokens get scarce, after every token that the model samples. The first
token after which the answer could no longer end is dropped, and the simulated ending is appended instead.
"""

from __future__ import annotations

import json
from collections import Counter

import numpy as np

from parlant_local.engine.constraint.matcher import ConstraintMatcher
from parlant_local.engine.model import LoadedModel
from parlant_local.errors import SchemaError

__all__ = ["ClosingTokens", "EarlyCloser"]

_OUTSIDE = b'}],n"ft0123456789-[{'  # outside strings, in the order in which they end an answer soonest
_WITHIN = b"-:@./_TZ+# 0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSUVWXY"
_QUOTE, _BACKSLASH = 0x22, 0x5C


class ClosingTokens:
    """A vocabulary's single-character tokens: those that structure JSON, and those that fill strings which must not be empty."""

    def __init__(self, model: LoadedModel) -> None:
        self.outside = _single(model, _OUTSIDE)
        self.within = [*_single(model, b'"'), *_single(model, _WITHIN)]
        self.piece = model.piece
        self.tokenize = model.tokenize
        self._model = model

    def single(self, characters: str) -> list[int]:
        """The tokens that are exactly one of ``characters`` each."""
        return _single(self._model, characters.encode())

    def exact_tokens(self, text: str) -> list[int]:
        """Tokens of exactly ``text``, control tokens included; letter by letter where the tokenizer adds a prefix."""
        tokens = self._model.tokenize(text, parse_special=True)
        if b"".join(self.piece(token, special=True) for token in tokens) == text.encode():
            return tokens
        return [token for letter in text for token in self._model.tokenize(letter)[-len(letter.encode()) :]]


def _single(model: LoadedModel, characters: bytes) -> list[int]:
    found = []
    for character in characters:
        tokens = model.tokenize(chr(character))[-1:]  # some vocabularies put a space marker first
        if tokens and model.piece(tokens[0]) == bytes([character]):
            found.append(tokens[0])
    return found


class EarlyCloser:
    """Closes one answer early. Fed with all of the answer's text from its start."""

    def __init__(self, closing_tokens: ClosingTokens, budget: int) -> None:
        self._closing_tokens = closing_tokens
        self._budget = budget
        self._in_string = False
        self._escaped = False
        self._cost: int | None = None  # tokens to the end, where the open string can simply be closed
        self._gave_up = False  # no ending was found: the answer is left to the token limit

    def feed(self, text: bytes) -> None:
        before = self._in_string
        self._in_string, self._escaped = _strings(text, self._in_string, self._escaped)
        if not (before and self._in_string and _plain(text)):
            self._cost = None

    def is_near(self, left: int) -> bool:
        """Whether ``left`` tokens are few enough that the ending must be considered."""
        return left <= self._budget and not self._gave_up

    def allows(self, matcher: ConstraintMatcher, token: int, left: int) -> bool:
        """Whether the answer can still end in time after ``token``, with ``left`` tokens to go."""
        data = self._closing_tokens.piece(token)
        stays = self._in_string and _plain(data)
        if stays and self._cost is not None:
            return self._cost <= left - 1
        after = matcher.copy()
        after.accept([token])
        ending = self._shortest_ending(after, left - 1, *_strings(data, self._in_string, self._escaped))
        if ending is None:
            return False
        self._cost = len(ending) if stays else None
        return True

    def shortest_ending(self, matcher: ConstraintMatcher, left: int) -> list[int] | None:
        """The tokens that end the answer from here; None where ``left`` of them don't suffice."""
        ending = self._shortest_ending(matcher.copy(), left, self._in_string, self._escaped)
        self._gave_up = ending is None
        return ending

    def _shortest_ending(
        self, matcher: ConstraintMatcher, left: int, in_string: bool, escaped: bool
    ) -> list[int] | None:
        try:
            return self._simulate(matcher, left, in_string, escaped)
        except SchemaError:
            return None  # the grammar hit a limit

    def _simulate(self, matcher: ConstraintMatcher, left: int, in_string: bool, escaped: bool) -> list[int] | None:
        ending: list[int] = []
        used: Counter[int] = Counter()
        pattern_tried = False
        while True:
            tokens = matcher.forced()
            if not tokens and in_string and not pattern_tried and matcher.endings:
                pattern_tried = True  # once per string: what does not end it now will not later
                tokens = self._pattern_ending(matcher)
            pattern_tried = pattern_tried and in_string
            if not tokens and not matcher.complete:
                token = self._next_token(matcher, in_string, used)
                if token is None:
                    return None
                used[token] += 1
                tokens = [token]
            ending += tokens
            if len(ending) > left:
                return None
            if not tokens:
                return ending
            matcher.accept(tokens)
            for token in tokens:
                in_string, escaped = _strings(self._closing_tokens.piece(token), in_string, escaped)
            if matcher.finished:
                return ending

    def _pattern_ending(self, matcher: ConstraintMatcher) -> list[int]:
        """What completes the open string as one of the patterns requires, where a quote alone doesn't."""
        quote = self._closing_tokens.within[0] if self._closing_tokens.within else -1
        if quote < 0 or matcher.allows(quote):
            return []
        for letters in matcher.endings:
            trial, tokens = matcher.copy(), self._closing_tokens.tokenize(json.dumps(letters, ensure_ascii=False)[1:-1])
            for token in tokens:
                if not trial.allows(token):
                    break
                trial.accept([token])
            else:
                if trial.allows(quote):
                    return tokens
        return []

    def _next_token(self, matcher: ConstraintMatcher, in_string: bool, used: Counter[int]) -> int | None:
        if in_string:
            # A pattern may require characters in some order: the least used go first.
            quote, *rest = self._closing_tokens.within or [-1]
            candidates = [quote, *sorted(rest, key=lambda token: used[token])]
        else:
            candidates = self._closing_tokens.outside
        for token in candidates:
            if token >= 0 and matcher.allows(token):
                return token
        allowed = np.flatnonzero(matcher.mask(0))
        return int(allowed[0]) if allowed.size else None


def _plain(text: bytes) -> bool:
    """Whether ``text`` leaves a string as far from its end as before: no quote, no escape, no partial character."""
    return text.isascii() and _QUOTE not in text and _BACKSLASH not in text


def _strings(text: bytes, in_string: bool, escaped: bool) -> tuple[bool, bool]:
    """Whether JSON is within a string, and right after a backslash there, after ``text``."""
    for byte in text:
        if escaped:
            escaped = False
        elif in_string and byte == _BACKSLASH:
            escaped = True
        elif byte == _QUOTE:
            in_string = not in_string
    return in_string, escaped
