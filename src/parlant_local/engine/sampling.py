"""Logits to a token, per request: penalties, bias, constraint, temperature, top-n-sigma, top-k, top-p, min-p."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Sampler", "Sampling", "log_softmax_at"]

# Tokens this many temperatures below the best one have a probability under e^-40 each.
_NEGLIGIBLE = 40.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. Temperature 0 is greedy.

    The order is penalties, bias, constraint, top-n-sigma, top-k, top-p, min-p, temperature.
    """

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.0
    top_n_sigma: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_penalty: float = 1.0
    penalty_window: int = 256
    """The number of recent tokens that penalties apply to."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    boolean_bias: float | None = None
    """Log-odds added to true where a boolean is decided by its whole probability; ``None``: it is drawn."""
    seed: int | None = None


class Sampler:
    """One request's sampler, with its own random state: the same seed gives the same answer whatever runs concurrently."""

    def __init__(self, sampling: Sampling, seed: int | None) -> None:
        self._sampling = sampling
        self._random = np.random.default_rng(seed)
        self._penalised = (
            sampling.presence_penalty != 0 or sampling.frequency_penalty != 0 or sampling.repeat_penalty != 1
        )
        self._bias_tokens = np.array(list(sampling.logit_bias), dtype=np.int64)
        self._bias = np.array(list(sampling.logit_bias.values()), dtype=np.float32)

    @property
    def greedy(self) -> bool:
        return self._sampling.temperature == 0 or self._sampling.top_k == 1

    @property
    def boolean_bias(self) -> float | None:
        return self._sampling.boolean_bias

    def adjust(self, logits: npt.NDArray[np.float32], history: Sequence[int]) -> npt.NDArray[np.float32]:
        """Penalties and bias applied; a copy, unless there is nothing to do."""
        if not self._penalised and not self._bias_tokens.size:
            return logits
        logits = logits.copy()
        if self._penalised and history:
            sampling = self._sampling
            tokens, counts = np.unique(np.asarray(history[-sampling.penalty_window :]), return_counts=True)
            values = logits[tokens]
            if sampling.repeat_penalty != 1:
                values = np.where(values > 0, values / sampling.repeat_penalty, values * sampling.repeat_penalty)
            values = values - counts * sampling.frequency_penalty - sampling.presence_penalty
            logits[tokens] = values
        if self._bias_tokens.size:
            inside = self._bias_tokens < logits.size
            logits[self._bias_tokens[inside]] += self._bias[inside]
        return logits

    def draw(self, logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_] | None) -> int:
        """One token from adjusted ``logits``, shape ``(n_vocab,)``; only where ``mask`` allows."""
        if self.greedy:
            if mask is not None:
                logits = np.where(mask, logits, -np.inf)
            return int(logits.argmax())
        return self._draw_random(logits, mask)

    def _draw_random(self, logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_] | None) -> int:
        sampling = self._sampling
        if mask is not None:
            logits = np.where(mask, logits, -np.inf)
        best = logits.max()
        max_gap = _NEGLIGIBLE * sampling.temperature
        if sampling.top_n_sigma > 0:
            max_gap = min(max_gap, sampling.top_n_sigma * float(logits[np.isfinite(logits)].std(dtype=np.float64)))
        candidates = np.flatnonzero(logits >= best - max_gap)
        values = logits[candidates].astype(np.float64)
        order = np.argsort(-values, kind="stable")
        if 0 < sampling.top_k < order.size:
            order = order[: sampling.top_k]
        weights = np.exp(values[order] - values[order[0]])  # top-p and min-p use the model's unscaled probabilities
        if sampling.top_p < 1:
            probabilities = weights / weights.sum()
            keep = int(np.searchsorted(np.cumsum(probabilities), sampling.top_p)) + 1
            order, weights = order[:keep], weights[:keep]
        if sampling.min_p > 0:
            keep = max(1, int((weights >= sampling.min_p * weights[0]).sum()))
            order = order[:keep]
        scaled = np.exp((values[order] - values[order[0]]) / sampling.temperature)
        point = self._random.random() * scaled.sum()
        chosen = int(np.searchsorted(np.cumsum(scaled), point, side="right"))
        return int(candidates[order[min(chosen, order.size - 1)]])


def log_softmax_at(logits: npt.NDArray[np.float32], token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
    """Natural-log probability of ``token``, and of the ``top`` most likely tokens, before any sampling setting."""
    values = logits.astype(np.float64)
    total = np.logaddexp.reduce(values)
    best: list[tuple[int, float]] = []
    if top:
        indices = np.argpartition(-values, min(top, values.size - 1))[:top]
        indices = indices[np.argsort(-values[indices], kind="stable")]
        best = [(int(index), float(values[index] - total)) for index in indices]
    return float(values[token] - total), best
