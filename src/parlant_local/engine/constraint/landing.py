"""Bringing a JSON answer down when its tokens run out: close what is open, take the shortest way on.

A bounded schema may still allow more text than a call may spend. Rather than cut the answer and lose it, the last tokens
are chosen for brevity: strings end, arrays and dictionaries close, optional parts stay out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from parlant_local.engine.model import LoadedModel

__all__ = ["Landing", "LandingStrip"]

_OUTSIDE = b'}],n"ft0123456789-[{'
_MARGIN = 16


class LandingStrip:
    """The single-character tokens of a vocabulary that structure JSON."""

    def __init__(self, model: LoadedModel) -> None:
        self.quote: list[int] = []
        self.outside: list[int] = []
        for character in _OUTSIDE:
            tokens = model.tokenize(chr(character))
            token = tokens[-1]  # some vocabularies put a space marker first
            if model.piece(token) == bytes([character]):
                (self.quote if character == 0x22 else self.outside).append(token)
                if character == 0x22:
                    self.outside.append(token)


class Landing:
    """One answer on its way down; fed with everything the answer says from the start."""

    def __init__(self, strip: LandingStrip, needed: int) -> None:
        self._strip = strip
        self._needed = needed + needed // 4 + _MARGIN
        self._in_string = False
        self._escaped = False
        self.begun = False

    def due(self, tokens_left: int) -> bool:
        if tokens_left <= self._needed:
            self.begun = True
        return self.begun

    def feed(self, text: bytes) -> None:
        for byte in text:
            if self._escaped:
                self._escaped = False
            elif self._in_string and byte == 0x5C:
                self._escaped = True
            elif byte == 0x22:
                self._in_string = not self._in_string

    def choose(self, logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> int:
        """The allowed token that ends the answer soonest; the most likely one where none is known to."""
        for token in self._strip.quote if self._in_string else self._strip.outside:
            if mask[token]:
                return token
        return int(np.where(mask, logits, -np.inf).argmax())
