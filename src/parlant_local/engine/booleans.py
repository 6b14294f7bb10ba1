"""Booleans that a schema leaves open, decided by what the model gives to each answer as a whole.

A draw takes one token, and a word may begin with several: ``true``, ``t``, ``tr``. Their probabilities are added up, so that
the answer is the likelier one, or the one beyond a threshold, whatever the temperature.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["decided_boolean"]

_WORDS = (b"true", b"false", b"null")
_MOST_TOKENS = 64


def decided_boolean(
    logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], piece: Callable[[int], bytes], bias: float
) -> int | None:
    """The likeliest token of the likeliest word where ``mask`` leaves true and false (and null); ``None`` elsewhere.

    ``bias`` is added to the log-odds of true.
    """
    allowed = np.flatnonzero(mask)
    if not 2 <= allowed.size <= _MOST_TOKENS:
        return None
    tokens: dict[bytes, list[int]] = {}
    for token in allowed.tolist():
        word = _word(piece(token))
        if word is None:
            return None
        tokens.setdefault(word, []).append(token)
    if not {b"true", b"false"} <= tokens.keys():
        return None
    masses = {word: float(np.logaddexp.reduce(logits[found].astype(np.float64))) for word, found in tokens.items()}
    masses[b"true"] += bias
    chosen = tokens[max(masses, key=lambda word: masses[word])]
    return chosen[int(logits[chosen].argmax())]


def _word(text: bytes) -> bytes | None:
    return next((word for word in _WORDS if text and (word.startswith(text) or text.startswith(word))), None)
