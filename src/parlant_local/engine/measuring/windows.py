"""A text in windows, and a model's logits in each: what perplexity and divergence are measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from parlant_local.cores import usable_cores
from parlant_local.engine.context import Batch, Context
from parlant_local.engine.layout import Layout
from parlant_local.engine.sizing import micro_batch
from parlant_local.errors import BadRequestError

if TYPE_CHECKING:
    from parlant_local.engine.model import LoadedModel
    from parlant_local.settings import EngineSettings

__all__ = ["Scorer", "Window", "text_windows"]

Tokens = np.ndarray[tuple[int], np.dtype[np.int32]]
Row = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Window:
    tokens: Tokens
    first: int
    """The first token that is scored."""


def text_windows(model: LoadedModel, tokens: Sequence[int], n_ctx: int, max_windows: int | None = None) -> list[Window]:
    """``tokens`` in windows of ``n_ctx``.

    They don't overlap, and each starts with BOS where the vocabulary wants one. As in llama.cpp's own tool, the first half of a
    window is only context and the second half is scored, and a remainder is left out; a text shorter than one window is scored
    from its second token on. Raises :class:`BadRequestError` for a text of fewer than two tokens.
    """
    text = np.asarray(tokens, dtype=np.int32)
    head = np.asarray([model.bos] if model.add_bos and model.bos >= 0 else [], dtype=np.int32)
    if text.size + head.size < 2:
        raise BadRequestError("The text has no second token to predict.", hint="Use a longer one.")
    body = n_ctx - head.size
    whole = text.size // body
    starts = [index * body for index in range(whole)] or [0]
    return [
        Window(np.concatenate([head, text[start : start + body]]), n_ctx // 2 if whole else 1)
        for start in starts[:max_windows]
    ]


class Scorer:
    """A context of one model for windows of ``n_ctx``."""

    def __init__(self, model: LoadedModel, settings: EngineSettings, n_ctx: int) -> None:
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
        self._context = Context(model, settings, layout)
        self._batch = Batch(n_batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def rows(self, window: Window) -> Iterator[tuple[int, Row]]:
        """Each scored token, and the logits that predict it."""
        context, batch, tokens = self._context, self._batch, window.tokens
        context.drop(0)
        for begin in range(0, tokens.size, batch.capacity):
            part = tokens[begin : begin + batch.capacity]
            batch.clear()
            batch.add(0, part, begin, output_last=False)
            # The logits at a token predict the one after it.
            wanted = [at for at in range(part.size) if window.first - 1 <= begin + at < tokens.size - 1]
            batch.outputs[wanted] = 1
            context.decode(batch)
            for at in wanted:
                yield int(tokens[begin + at + 1]), context.logits(at).astype(np.float64)
