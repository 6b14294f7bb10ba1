"""BERT's sentence vectors in numpy, as transformers and sentence-transformers compute them: what conversions are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["bert_vector", "cosine"]

Array = npt.NDArray[np.float64]
_erf = np.vectorize(math.erf)


def bert_vector(weights: Mapping[str, npt.NDArray[np.float32]], tokens: Sequence[int], heads: int) -> Array:
    """The mean of the last layer's vectors."""
    ids = list(tokens)
    x = (
        weights["embeddings.word_embeddings.weight"][ids].astype(np.float64)
        + weights["embeddings.position_embeddings.weight"][: len(ids)]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = _norm(weights, "embeddings.LayerNorm", x)
    layers = sum(name.endswith("attention.self.query.weight") for name in weights)
    for layer in range(layers):
        x = _layer(weights, f"encoder.layer.{layer}.", x, heads)
    mean: Array = x.mean(axis=0)
    return mean


def cosine(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def _layer(weights: Mapping[str, npt.NDArray[np.float32]], name: str, x: Array, heads: int) -> Array:
    count, width = x.shape
    query, key, value = (
        _linear(weights, f"{name}attention.self.{part}", x).reshape(count, heads, width // heads).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(width // heads)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    mixed = (shares @ value).transpose(1, 0, 2).reshape(count, width)
    x = _norm(
        weights, f"{name}attention.output.LayerNorm", x + _linear(weights, f"{name}attention.output.dense", mixed)
    )
    inner = _linear(weights, f"{name}intermediate.dense", x)
    inner = inner * 0.5 * (1 + _erf(inner / math.sqrt(2)))
    return _norm(weights, f"{name}output.LayerNorm", x + _linear(weights, f"{name}output.dense", inner))


def _linear(weights: Mapping[str, npt.NDArray[np.float32]], name: str, x: Array) -> Array:
    made: Array = x @ weights[f"{name}.weight"].astype(np.float64).T + weights[f"{name}.bias"]
    return made


def _norm(weights: Mapping[str, npt.NDArray[np.float32]], name: str, x: Array) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    made: Array = (
        centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-12) * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    )
    return made
