"""Booleans that a schema leaves open, decided by what the model gives to each answer, whatever the temperature.

Of a word's tokens those that have all of it count, and are added up (``true``, ``true,``): what begins with a part of it (``t``) is
mostly the beginning of something else. Only where a vocabulary has no whole word do the parts count.
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
    whole: dict[bytes, list[int]] = {}
    parts: dict[bytes, list[int]] = {}
    for token in allowed.tolist():
        text = piece(token)
        word = _word(text)
        if word is None:
            return None
        (whole if text.startswith(word) else parts).setdefault(word, []).append(token)
    words = whole.keys() | parts.keys()
    if not {b"true", b"false"} <= words:
        return None
    tokens = whole if whole.keys() == words else {word: whole.get(word, []) + parts.get(word, []) for word in words}
    masses = {word: float(np.logaddexp.reduce(logits[found].astype(np.float64))) for word, found in tokens.items()}
    masses[b"true"] += bias
    chosen = tokens[max(_WORDS, key=lambda word: masses.get(word, -np.inf))]
    return chosen[int(logits[chosen].argmax())]


def _word(text: bytes) -> bytes | None:
    return next((word for word in _WORDS if text and (word.startswith(text) or text.startswith(word))), None)
