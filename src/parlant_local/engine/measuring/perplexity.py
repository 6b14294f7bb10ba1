"""Perplexity: how well a model predicts a text."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parlant_local.cores import usable_cores
from parlant_local.engine.context import Batch, Context
from parlant_local.engine.layout import Layout
from parlant_local.engine.sizing import micro_batch
from parlant_local.errors import BadRequestError

if TYPE_CHECKING:
    from parlant_local.engine.model import LoadedModel
    from parlant_local.settings import EngineSettings

__all__ = ["Perplexity", "measure_perplexity"]


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
    progress: Callable[[int, int, float], None] | None = None,
) -> Perplexity:
    """Perplexity of ``tokens`` in windows of ``n_ctx``; blocks for as long as it takes.

    Windows don't overlap, and each starts with BOS where the vocabulary wants one. As in llama.cpp's own tool, the first
    half of a window is only context and the second half is scored; a text shorter than one window is scored from its
    second token on. ``progress`` gets windows done, windows in all, and the perplexity so far. Raises
    :class:`BadRequestError` for a text of fewer than two tokens.
    """
    began = time.monotonic()
    text = np.asarray(tokens, dtype=np.int32)
    head = [model.bos] if model.add_bos and model.bos >= 0 else []
    if text.size + len(head) < 2:
        raise BadRequestError("The text has no second token to predict.", hint="Use a longer one.")
    body = n_ctx - len(head)
    whole = text.size // body
    starts = [index * body for index in range(whole)] or [0]
    losses: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    threads = settings.n_threads_batch or settings.n_threads or usable_cores()
    n_batch = min(settings.n_batch, n_ctx)
    n_ubatch = min(micro_batch(settings), n_batch)
    layout = Layout(
        n_ctx,
        n_ctx,
        1,
        True,
        n_batch,
        n_ubatch,
        threads,
        threads,
        flash_attention=settings.flash_attention,
        kv_type=settings.kv_type or "f16",
    )
    context = Context(model, settings, layout)
    try:
        batch = Batch(n_batch)
        for done, start in enumerate(starts, 1):
            window = np.concatenate([np.asarray(head, dtype=np.int32), text[start : start + body]])
            first = n_ctx // 2 if whole else 1
            losses.append(_losses(context, batch, window, first))
            if progress is not None:
                progress(done, len(starts), math.exp(float(np.concatenate(losses).mean())))
    finally:
        context.close()
    every = np.concatenate(losses)
    value = math.exp(float(every.mean()))
    spread = float(every.std(ddof=1)) / math.sqrt(every.size) if every.size > 1 else 0.0
    return Perplexity(
        value, value * spread, int(text.size), int(every.size), n_ctx, len(starts), time.monotonic() - began
    )


def _losses(
    context: Context, batch: Batch, window: np.ndarray[tuple[int], np.dtype[np.int32]], first: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Negative log-likelihood of each token of ``window`` from index ``first`` on."""
    context.drop(0)
    found = []
    for begin in range(0, window.size, batch.capacity):
        part = window[begin : begin + batch.capacity]
        batch.clear()
        batch.add(0, part, begin, output_last=False)
        # The logits at a token predict the one after it.
        wanted = [at for at in range(part.size) if first - 1 <= begin + at < window.size - 1]
        batch.outputs[wanted] = 1
        context.decode(batch)
        for at in wanted:
            logits = context.logits(at).astype(np.float64)
            top = float(logits.max())
            total = top + math.log(float(np.exp(logits - top).sum()))
            found.append(total - float(logits[window[begin + at + 1]]))
    return np.asarray(found, dtype=np.float64)
