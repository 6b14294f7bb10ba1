"""Responses of endpoints other than chats: vectors, scores, categories, and model lists."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parlant_local.messages import whole_text

__all__ = ["categories_of", "models_of", "scores_of", "vectors_of", "window_of"]

_WINDOWS = ("max_model_len", "context_length", "max_context_length", "context_window", "max_input_tokens", "n_ctx", "n_ctx_train")  # fmt: skip


def vectors_of(data: Any, _target: str) -> list[Sequence[float]]:
    """In the order of their indices. Raises ``ValueError`` or ``TypeError`` where they are of no shape that is known."""
    entries = _entries(data, "data", "embeddings")
    if all(isinstance(entry, list) for entry in entries):
        return [_vector(entry) for entry in entries]
    placed = enumerate(entries)
    ordered = sorted(
        placed, key=lambda item: item[1].get("index", item[0]) if isinstance(item[1], Mapping) else item[0]
    )
    return [_vector(entry["embedding"] if isinstance(entry, Mapping) else entry) for _, entry in ordered]


def _vector(value: Any) -> Sequence[float]:
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value), dtype="<f4").tolist()  # type: ignore[no-any-return]  # a list of floats
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]  # llama-server does not pool by default
    return [float(item) for item in value]


def scores_of(data: Any, count: int) -> tuple[float, ...] | None:
    """One for each document, ``None`` where they are not all there."""
    try:
        scores = {
            int(entry["index"]): float(entry["relevance_score"] if "relevance_score" in entry else entry["score"])
            for entry in _entries(data, "results", "data")
        }
        return tuple(scores[index] for index in range(count))
    except (KeyError, TypeError, ValueError):
        return None


def categories_of(data: Any) -> dict[str, float]:
    entries = _entries(data, "results")
    scores = entries[0].get("category_scores") if entries and isinstance(entries[0], Mapping) else None
    if not isinstance(scores, Mapping):
        return {}
    return {whole_text(str(name)): float(score) for name, score in scores.items() if isinstance(score, int | float)}


def models_of(data: Any) -> dict[str, Mapping[str, Any]]:
    """By id. Most endpoints wrap the list, some do not."""
    entries = [entry for entry in _entries(data, "data", "models") if isinstance(entry, Mapping)]
    named = ((entry.get("id") or entry.get("name"), entry) for entry in entries)
    return {whole_text(name): entry for name, entry in named if isinstance(name, str)}


def window_of(entry: Mapping[str, Any]) -> int | None:
    """The context window that a listed model reports, in tokens."""
    meta = entry.get("meta")
    for holder in (entry, meta if isinstance(meta, Mapping) else {}):
        for key in _WINDOWS:
            value = holder.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def _entries(data: Any, *keys: str) -> list[Any]:
    if isinstance(data, Mapping):
        data = next((value for key in keys if isinstance(value := data.get(key), list)), None)
    return data if isinstance(data, list) else []
