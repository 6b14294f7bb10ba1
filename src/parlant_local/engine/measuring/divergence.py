"""How far a model's predictions are from those of a larger type of it: Kullback-Leibler divergence, and how often both agree."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parlant_local.engine.measuring.perplexity import log_total
from parlant_local.engine.measuring.windows import Row, Scorer, text_windows
from parlant_local.errors import BadRequestError

if TYPE_CHECKING:
    from parlant_local.engine.measuring.kept import KeptWindows
    from parlant_local.engine.model import LoadedModel
    from parlant_local.settings import EngineSettings

__all__ = ["Divergence", "measure_divergence"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """Of a model from its base. Divergences are in nats, and errors are standard errors that assume independent tokens."""

    mean: float
    mean_error: float
    median: float
    percentile_99: float
    max: float
    same_top: float
    """Share of tokens that both think likeliest."""
    same_top_error: float
    perplexity: float
    base_perplexity: float
    log_ratio: float
    """Of the perplexities: above 0, the base predicts the text better."""
    log_ratio_error: float
    tokens: int
    scored: int
    n_ctx: int
    windows: int
    seconds: float


class _Token(NamedTuple):
    divergence: float
    same: bool
    loss: float
    base_loss: float


def measure_divergence(
    model: LoadedModel,
    base: LoadedModel,
    settings: EngineSettings,
    tokens: Sequence[int],
    *,
    n_ctx: int,
    max_windows: int | None = None,
    progress: Callable[[int, int, float], None] | None = None,
    kept: KeptWindows | None = None,
) -> Divergence:
    """Of ``model`` from ``base`` on ``tokens``, in the windows of perplexity; both are in memory. Blocks.

    ``progress`` gets windows done, windows in all, and the mean divergence so far; ``kept`` keeps what is done, until all is. Raises :class:`BadRequestError` for models of
    different vocabularies, and for a text of fewer than two tokens.
    """
    began = time.monotonic()
    _check_vocabularies(model, base, tokens)
    windows = text_windows(base, tokens, n_ctx, max_windows)
    found: list[_Token] = []
    with Scorer(model, settings, n_ctx) as ours, Scorer(base, settings, n_ctx) as theirs:
        for done, window in enumerate(windows, 1):
            if kept is not None and (before := kept.windows.get(done)) is not None:
                found += [_Token(each[0], bool(each[1]), each[2], each[3]) for each in before]
                continue
            pairs = zip(ours.rows(window), theirs.rows(window), strict=True)
            fresh = [_compared(token, logits, expected) for (token, logits), (_, expected) in pairs]
            found += fresh
            if kept is not None:
                kept.add(done, [[float(value) for value in each] for each in fresh])
            if progress is not None:
                progress(done, len(windows), float(np.mean([each.divergence for each in found])))
    if kept is not None:
        kept.done()
    return _summed(found, len(tokens), n_ctx, len(windows), time.monotonic() - began)


def _check_vocabularies(model: LoadedModel, base: LoadedModel, tokens: Sequence[int]) -> None:
    if model.n_vocab != base.n_vocab:
        raise BadRequestError(
            f"{model.path.name} has {model.n_vocab:,} tokens and {base.path.name} {base.n_vocab:,}: "
            "their predictions can't be compared.",
            hint="The base is another type of the same model.",
        )
    if differing := next((each for each in set(tokens) if model.piece(each) != base.piece(each)), None):
        raise BadRequestError(
            f"{model.path.name} and {base.path.name} have different vocabularies: token {differing} is "
            f"{model.piece(differing)!r} and {base.piece(differing)!r}.",
            hint="The base is another type of the same model.",
        )


def _compared(token: int, logits: Row, expected: Row) -> _Token:
    ours, theirs = logits - log_total(logits), expected - log_total(expected)
    likely = theirs > -700  # beyond that it is nothing, and two infinities have no difference
    # Rounding makes that of equal predictions a little less than nothing.
    divergence = max(float((np.exp(theirs[likely]) * (theirs[likely] - ours[likely])).sum()), 0.0)
    return _Token(divergence, int(ours.argmax()) == int(theirs.argmax()), -float(ours[token]), -float(theirs[token]))


def _summed(found: Sequence[_Token], tokens: int, n_ctx: int, windows: int, seconds: float) -> Divergence:
    divergences = np.asarray([each.divergence for each in found])
    losses, base_losses = np.asarray([each.loss for each in found]), np.asarray([each.base_loss for each in found])
    same, count = float(np.mean([each.same for each in found])), len(found)
    return Divergence(
        mean=float(divergences.mean()),
        mean_error=_error(divergences),
        median=float(np.median(divergences)),
        percentile_99=float(np.quantile(divergences, 0.99)),
        max=float(divergences.max()),
        same_top=same,
        same_top_error=math.sqrt(same * (1 - same) / max(count - 1, 1)),
        perplexity=math.exp(float(losses.mean())),
        base_perplexity=math.exp(float(base_losses.mean())),
        log_ratio=float((losses - base_losses).mean()),
        # Of the differences, token by token: what makes a text hard is hard for both.
        log_ratio_error=_error(losses - base_losses),
        tokens=tokens,
        scored=count,
        n_ctx=n_ctx,
        windows=windows,
        seconds=seconds,
    )


def _error(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else 0.0
