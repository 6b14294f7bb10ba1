"""A message in displayable chunks: whole words where a script has spaces, whole graphemes everywhere.

What a reader takes for one character may be many (a family emoji, a letter with its marks, a flag, a syllable), so the
last one is held back until the next begins.
"""

from __future__ import annotations

import regex

__all__ = ["Pieces"]

_GRAPHEME = regex.compile(r"\X")
_SPACE = regex.compile(r"\s")
# Scripts without spaces between words (by the classes of the line breaking algorithm), their punctuation, and pictures.
_UNSPACED = regex.compile(
    r"[\p{Line_Break=ID}\p{Line_Break=CJ}\p{Line_Break=SA}\p{Line_Break=AK}\p{Line_Break=AS}\p{Han}\p{Tibetan}"
    r"\p{Extended_Pictographic}\p{Regional_Indicator}\u3000-\u303f\uff00-\uffef]"
)
_CLOSING = regex.compile(r"[\p{Pe}\p{Pf}\p{Po}\p{Pd}]")
_WORD, _SIGN = 2, 1
_ENOUGH = 3 * _WORD
"""Each piece makes the host rewrite the message's event, so words come a few at a time."""
_LONGEST_WORD = 64
"""Graphemes after which what has no spaces is cut anywhere: addresses, figures, codes."""


class Pieces:
    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str, *, hurry: bool = False) -> str:
        """What may be shown now, or an empty text. ``hurry``: show less than usual, so that a slow model shows progress."""
        self._held += text
        whole = [match.end() for match in _GRAPHEME.finditer(self._held)][:-1]
        weight, last, cut = 0, 0, 0
        for position, end in enumerate(whole):
            start = whole[position - 1] if position else 0
            found = self._weight(self._held[start:end], self._held[end])
            if found or position - last >= _LONGEST_WORD:
                weight, last, cut = weight + (found or _WORD), position, end
        if not cut or (weight < _ENOUGH and not hurry):
            return ""
        piece, self._held = self._held[:cut], self._held[cut:]
        return piece

    def finish(self) -> str:
        rest, self._held = self._held, ""
        return rest

    @staticmethod
    def _weight(grapheme: str, following: str) -> int:
        """How much ends with ``grapheme``; 0 where nothing does."""
        if _SPACE.match(grapheme):
            return 0 if _SPACE.match(following) else _WORD
        if _UNSPACED.match(grapheme) and not _SPACE.match(following) and not _CLOSING.match(following):
            return _SIGN
        return 0
