"""Perplexity: how well a model predicts a text."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parlant_local.engine.measuring.windows import Scorer, text_windows

if TYPE_CHECKING:
    from parlant_local.engine.measuring.kept import KeptWindows
    from parlant_local.engine.model import LoadedModel
    from parlant_local.settings import EngineSettings

__all__ = ["Perplexity", "log_total", "measure_perplexity"]


@dataclass(frozen=True, slots=True)
class Perplexity:
    """``perplexity`` is exp of the mean negative log-likelihood (natural) over ``scored`` tokens."""

    perplexity: float
    error: float
    """Its standard error, assuming independent tokens."""
    tokens: int
    """Of the text, without BOS."""
    scored: int
    n_ctx: int
    windows: int
    seconds: float


def measure_perplexity(
    model: LoadedModel,
    settings: EngineSettings,
    tokens: Sequence[int],
    *,
    n_ctx: int,
    max_windows: int | None = None,
    progress: Callable[[int, int, float], None] | None = None,
    kept: KeptWindows | None = None,
) -> Perplexity:
    """Perplexity of ``tokens`` in windows of ``n_ctx`` (:mod:`windows` says which); blocks for as long as it takes.

    ``progress`` gets windows done, windows in all, and the perplexity so far; ``kept`` keeps what is done, until all is. Raises :class:`BadRequestError` for a text of fewer
    than two tokens.
    """
    began = time.monotonic()
    windows = text_windows(model, tokens, n_ctx, max_windows)
    losses: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    with Scorer(model, settings, n_ctx) as scorer:
        for done, window in enumerate(windows, 1):
            if kept is not None and (before := kept.windows.get(done)) is not None:
                losses.append(np.asarray([each[0] for each in before], dtype=np.float64))
                continue
            found = [log_total(logits) - float(logits[token]) for token, logits in scorer.rows(window)]
            if kept is not None:
                kept.add(done, [[each] for each in found])
            losses.append(np.asarray(found, dtype=np.float64))
            if progress is not None:
                progress(done, len(windows), math.exp(float(np.concatenate(losses).mean())))
    if kept is not None:
        kept.done()
    every = np.concatenate(losses)
    value = math.exp(float(every.mean()))
    spread = float(every.std(ddof=1)) / math.sqrt(every.size) if every.size > 1 else 0.0
    return Perplexity(
        value, value * spread, len(tokens), int(every.size), n_ctx, len(windows), time.monotonic() - began
    )


def log_total(logits: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """The logarithm of the sum of their exponentials."""
    top = float(logits.max())
    return top + math.log(float(np.exp(logits - top).sum()))
