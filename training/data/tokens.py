"""Random tokens said twice: copying that holds for every entry of the vocabulary.

Words are made of a few hundred tokens, mostly; a rare one in the middle of a name came out as another, although the model looked
at the right place.
"""

import random
from collections.abc import Sequence

import numpy as np

from training.batches import Encoded

_GAPS = (0, 0, 0, 40, 150, 400, 900, 1600, 2600, 4000)


def repeated_tokens(rng: random.Random, count: int, vocabulary: Sequence[int]) -> list[Encoded]:
    """Each: some tokens, some others, and the first ones again, whose beginning is given."""
    return [_repeated(rng, vocabulary) for _ in range(count)]


def _repeated(rng: random.Random, vocabulary: Sequence[int]) -> Encoded:
    ids: list[int] = []
    weights: list[float] = []
    positions: list[int] = []

    def write(tokens: Sequence[int], given: int, gap: int = 0) -> None:
        start = positions[-1] + 1 + gap if positions else 0
        positions.extend(range(start, start + len(tokens)))
        ids.extend(tokens)
        weights.extend(0.0 if place < given else 1.0 for place in range(len(tokens)))

    texts = [rng.choices(vocabulary, k=rng.randint(3, 24)) for _ in range(rng.choice((1, 2, 3, 4)))]
    for text in texts:
        write(text, len(text))
    for _ in range(rng.choice((1, 2, 3))):
        again = rng.choice(texts)
        start = rng.randrange(max(1, len(again) - 2))
        write(again[start:], rng.choice((1, 1, 2)), rng.choice(_GAPS))
    return Encoded(np.array(ids, dtype=np.int16), np.array(weights, dtype=np.float32), np.array(positions))
