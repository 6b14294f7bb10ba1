"""Bringing a JSON answer down when its tokens run out: close what is open, take the shortest way on.

A bounded schema may still allow more text than a call may spend. Rather than cut the answer and lose it, the way to its end
is rehearsed on a copy of its grammar as soon as tokens get scarce, after every token that the model wants to say. The first
one after which the answer could no longer end is not said; the rehearsed end is.
"""

from __future__ import annotations

import json
from collections import Counter

import numpy as np

from parlant_local.engine.constraint.matcher import ConstraintMatcher
from parlant_local.engine.model import LoadedModel
from parlant_local.errors import SchemaError

__all__ = ["Landing", "LandingStrip"]

_OUTSIDE = b'}],n"ft0123456789-[{'  # outside strings: what ends soonest comes first
_WITHIN = b"-:@./_TZ+# 0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSUVWXY"
_QUOTE, _BACKSLASH = 0x22, 0x5C


class LandingStrip:
    """The single-character tokens of a vocabulary that structure JSON, and those that fill strings which must not be empty."""

    def __init__(self, model: LoadedModel) -> None:
        self.outside = _single(model, _OUTSIDE)
        self.within = [*_single(model, b'"'), *_single(model, _WITHIN)]
        self.piece = model.piece
        self.tokenize = model.tokenize
        self._model = model

    def single(self, characters: str) -> list[int]:
        """The tokens that are one of ``characters`` each."""
        return _single(self._model, characters.encode())

    def spelt(self, text: str) -> list[int]:
        """Tokens of exactly ``text``, marks among them; letter by letter where the tokenizer puts something before it."""
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


class Landing:
    """One answer's way down; fed with everything the answer says from the start."""

    def __init__(self, strip: LandingStrip, watch: int) -> None:
        self._strip = strip
        self._watch = watch
        self._in_string = False
        self._escaped = False
        self._needed: int | None = None  # tokens to the end, where the string that is open can just be closed
        self._lost = False  # no way down was found: the answer is left to its fate

    def feed(self, text: bytes) -> None:
        before = self._in_string
        self._in_string, self._escaped = _strings(text, self._in_string, self._escaped)
        if not (before and self._in_string and _plain(text)):
            self._needed = None

    def watches(self, left: int) -> bool:
        """Whether ``left`` tokens are few enough to think of the end."""
        return left <= self._watch and not self._lost

    def allows(self, matcher: ConstraintMatcher, token: int, left: int) -> bool:
        """Whether the answer can still end in time once ``token`` has been said with ``left`` tokens to go."""
        data = self._strip.piece(token)
        stays = self._in_string and _plain(data)
        if stays and self._needed is not None:
            return self._needed <= left - 1
        after = matcher.copy()
        after.accept([token])
        path = self._path(after, left - 1, *_strings(data, self._in_string, self._escaped))
        if path is None:
            return False
        self._needed = len(path) if stays else None
        return True

    def path(self, matcher: ConstraintMatcher, left: int) -> list[int] | None:
        """Tokens that end the answer from here; None where ``left`` of them don't suffice."""
        path = self._path(matcher.copy(), left, self._in_string, self._escaped)
        self._lost = path is None
        return path

    def _path(self, matcher: ConstraintMatcher, left: int, in_string: bool, escaped: bool) -> list[int] | None:
        try:
            return self._rehearsed(matcher, left, in_string, escaped)
        except SchemaError:
            return None  # the grammar met a limit on the way

    def _rehearsed(self, matcher: ConstraintMatcher, left: int, in_string: bool, escaped: bool) -> list[int] | None:
        path: list[int] = []
        used: Counter[int] = Counter()
        hinted = False
        while True:
            tokens = matcher.forced()
            if not tokens and in_string and not hinted and matcher.endings:
                hinted = True  # once a text: what does not end it at once will not later
                tokens = self._ending(matcher)
            hinted = hinted and in_string
            if not tokens and not matcher.complete:
                token = self._next(matcher, in_string, used)
                if token is None:
                    return None
                used[token] += 1
                tokens = [token]
            path += tokens
            if len(path) > left:
                return None
            if not tokens:
                return path
            matcher.accept(tokens)
            for token in tokens:
                in_string, escaped = _strings(self._strip.piece(token), in_string, escaped)
            if matcher.finished:
                return path

    def _ending(self, matcher: ConstraintMatcher) -> list[int]:
        """What ends the text that is open as one of its patterns wants, where a quote alone doesn't."""
        quote = self._strip.within[0] if self._strip.within else -1
        if quote < 0 or matcher.allows(quote):
            return []
        for letters in matcher.endings:
            trial, tokens = matcher.copy(), self._strip.tokenize(json.dumps(letters, ensure_ascii=False)[1:-1])
            for token in tokens:
                if not trial.allows(token):
                    break
                trial.accept([token])
            else:
                if trial.allows(quote):
                    return tokens
        return []

    def _next(self, matcher: ConstraintMatcher, in_string: bool, used: Counter[int]) -> int | None:
        if in_string:
            # A pattern may ask for this before that: what was not tried yet goes first.
            quote, *rest = self._strip.within or [-1]
            candidates = [quote, *sorted(rest, key=lambda token: used[token])]
        else:
            candidates = self._strip.outside
        for token in candidates:
            if token >= 0 and matcher.allows(token):
                return token
        allowed = np.flatnonzero(matcher.mask(0))
        return int(allowed[0]) if allowed.size else None


def _plain(text: bytes) -> bool:
    """Whether a string is as far from its end after ``text`` as before: no quote, no escape, no part of a character."""
    return text.isascii() and _QUOTE not in text and _BACKSLASH not in text


def _strings(text: bytes, in_string: bool, escaped: bool) -> tuple[bool, bool]:
    """Whether JSON stands within a string, and behind a backslash there, after ``text``."""
    for byte in text:
        if escaped:
            escaped = False
        elif in_string and byte == _BACKSLASH:
            escaped = True
        elif byte == _QUOTE:
            in_string = not in_string
    return in_string, escaped
