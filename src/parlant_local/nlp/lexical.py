"""A deterministic embedder that needs no model: hashed words and character n-grams.

It finds texts that share words, word parts and misspellings; it knows no synonyms, which is logged where it is used.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from hashlib import blake2b
from itertools import pairwise

__all__ = ["LEXICAL_VERSION", "embed_lexically", "lexical_token_count"]

LEXICAL_VERSION = 1
"""Part of the embedder's identity: raise it with any change that moves a vector."""

_WORD = re.compile(r"\w+", re.UNICODE)
_GRAMS = (3, 4)
_WORD_WEIGHT = 1.0
_PAIR_WEIGHT = 0.4
_GRAM_WEIGHT = 1.2
# Words that say little about a text's subject; they keep a small weight, so that texts made of them still differ.
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "do",
        "for",
        "from",
        "has",
        "have",
        "i",
        "if",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "so",
        "that",
        "the",
        "their",
        "them",
        "then",
        "they",
        "this",
        "to",
        "us",
        "was",
        "we",
        "were",
        "will",
        "with",
        "you",
        "your",
    ]
)
_COMMON_FACTOR = 0.2


def embed_lexically(text: str, dimensions: int) -> list[float]:
    """A vector of ``dimensions`` floats with length 1. Blank texts share one fixed vector."""
    words = _words(text)
    weights: defaultdict[str, float] = defaultdict(float)
    for word, count in Counter(words).items():
        share = (1 + math.log(count)) * (_COMMON_FACTOR if word in _COMMON else 1.0)
        weights[f"w:{word}"] += _WORD_WEIGHT * share
        padded = f"<{word}>"
        for size in _GRAMS:
            for start in range(len(padded) - size + 1):
                weights[f"g:{padded[start : start + size]}"] += _GRAM_WEIGHT * share / math.sqrt(len(padded))
    for pair, count in Counter(pairwise(words)).items():
        weights[f"p:{pair[0]} {pair[1]}"] += _PAIR_WEIGHT * (1 + math.log(count))
    if not weights:
        weights["blank"] = 1.0
    vector = [0.0] * dimensions
    for feature, weight in weights.items():
        digest = int.from_bytes(blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        vector[(digest >> 1) % dimensions] += weight if digest & 1 else -weight
    length = math.sqrt(sum(value * value for value in vector))
    if length == 0.0:  # features that cancel out exactly
        vector[0], length = 1.0, 1.0
    return [value / length for value in vector]


def lexical_token_count(text: str) -> int:
    """Words, which are this embedder's tokens."""
    return len(_words(text))


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(folded)
