"""Embeddings: a context of its own, pooled as the GGUF says, many texts per decode."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parlant_local.engine.context import Batch
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import clear_log, library, recent_log
from parlant_local.engine.sizing import on_gpu
from parlant_local.errors import EngineError, ModelLoadError, TextTooLongError
from parlant_local.settings import EngineSettings

__all__ = ["EmbeddingContext", "Embeddings", "Reranking"]

_POOLING = {-1: "unspecified", 0: "none", 1: "mean", 2: "cls", 3: "last", 4: "rank"}
_FLASH = {"auto": -1, "off": 0, "on": 1}
_MEAN = 1
_RANK = 4
_MAX_SEQ = 64
_MAX_CTX = 8192
_CPU_FILL = 256
"""Tokens of a decode of several texts. An encoder's attention runs over the whole batch, masked or not, and a CPU pays for
it: 2,048 tokens of short texts took 1.4 times as long as 256."""
_GPU_FILL = 2048


@dataclass(frozen=True, slots=True)
class Embeddings:
    """``vectors``: float32 of shape ``(texts, dimensions)``, L2-normalised; ``tokens``: per text."""

    vectors: npt.NDArray[np.float32]
    tokens: tuple[int, ...]
    truncated: tuple[int, ...] = ()
    """Indices of the texts that were cut."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """``scores``: one per document, higher is more relevant."""

    scores: tuple[float, ...]
    tokens: int


class EmbeddingContext:
    """A ``llama_context`` that embeds. Used from the engine's thread alone."""

    def __init__(self, model: LoadedModel, settings: EngineSettings, threads: int) -> None:
        lib = library()
        clear_log()
        self._lib = lib
        self._model = model.hold()
        self.max_tokens = max(1, min(settings.n_ctx or _MAX_CTX, model.n_ctx_train))
        self._batch_fill = min(settings.n_batch, _GPU_FILL if on_gpu(settings) else _CPU_FILL)
        # If the batch is not a multiple of n_seq_max, llama.cpp pools mismatched matrices and aborts the process.
        self._batch_tokens = -(-max(self.max_tokens, self._batch_fill) // _MAX_SEQ) * _MAX_SEQ
        params = lib.llama_context_default_params()
        params.n_ctx = self._batch_tokens
        params.n_batch = self._batch_tokens
        params.n_ubatch = self._batch_tokens  # a text must be pooled within one micro-batch
        params.n_seq_max = _MAX_SEQ
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = _FLASH[settings.flash_attention]
        params.rope_freq_base = settings.rope_freq_base or 0.0
        params.rope_freq_scale = settings.rope_freq_scale or 0.0
        params.embeddings = True
        params.no_perf = True
        self._params = params
        self._pointer: Any = lib.llama_init_from_model(model.pointer, params)
        if self._pointer and model.generates and int(lib.llama_pooling_type(self._pointer)) <= 0:
            # A chat model specifies no pooling: use the mean of its last layer.
            lib.llama_free(self._pointer)
            params.pooling_type = _MEAN
            self._pointer = lib.llama_init_from_model(model.pointer, params)
        if not self._pointer:
            self._model.release()
            raise ModelLoadError(f"{model.path.name}: llama.cpp refused an embedding context ({recent_log()}).")
        try:
            model.adapt(self._pointer)
        except BaseException:
            self.close()
            raise
        self.pooling_type = int(lib.llama_pooling_type(self._pointer))
        self.dimensions = model.n_cls_out if self.pooling_type == _RANK else model.n_embd_out
        self._memory: Any = lib.llama_get_memory(self._pointer)
        self._batch = Batch(self._batch_tokens)

    @property
    def pooling(self) -> str:
        return _POOLING.get(self.pooling_type, "unspecified")

    @property
    def closed(self) -> bool:
        return self._pointer is None

    def close(self) -> None:
        if self._pointer is not None:
            pointer, self._pointer = self._pointer, None
            self._lib.llama_free(pointer)
            self._model.release()

    # -- texts to token lists (any thread) ----------------------------------------------------------------------------

    def tokens_of(self, texts: Sequence[str | Sequence[int]], *, truncate: bool) -> tuple[list[list[int]], list[int]]:
        """Token lists, texts with the vocabulary's special tokens, and the indices of those that were cut."""
        with self._model.held():
            return self._tokens_of(texts, truncate=truncate)

    def _tokens_of(self, texts: Sequence[str | Sequence[int]], *, truncate: bool) -> tuple[list[list[int]], list[int]]:
        lists, cut = [], []
        for index, text in enumerate(texts):
            tokens = self._tokens(text)
            if not tokens:
                tokens = [max(self._model.bos, self._model.eos, 0)]  # an empty text still has a vector
            if len(tokens) > self.max_tokens:
                if not truncate:
                    raise TextTooLongError(
                        f"Text {index} has {len(tokens)} tokens; {self._model.path.name} allows {self.max_tokens}.",
                        needed=len(tokens),
                        available=self.max_tokens,
                        hint="Split it, or allow truncation (`truncate`).",
                    )
                # Keeps the closing token (SEP, EOS) where the model expects one.
                closing = tokens[-1:] if self._model.is_control(tokens[-1]) else []
                tokens = tokens[: self.max_tokens - len(closing)] + closing
                cut.append(index)
            lists.append(tokens)
        return lists, cut

    def _tokens(self, text: str | Sequence[int]) -> list[int]:
        if isinstance(text, str):
            return self._model.tokenize(text, add_special=True)
        self._model.check_tokens(text)
        return list(text)

    def pair(self, query: str, document: str) -> list[int]:
        """Query and document as one sequence, as cross-encoders are trained."""
        with self._model.held() as model:
            return self._pair(model, query, document)

    def _pair(self, model: LoadedModel, query: str, document: str) -> list[int]:
        sep = int(self._lib.llama_vocab_sep(model.vocab))
        first = model.tokenize(query, add_special=False)
        second = model.tokenize(document, add_special=False)
        opening = [model.bos] if model.bos >= 0 else []
        middle = [token for token in (model.eos if model.eos >= 0 else sep, sep) if token >= 0]
        if len(middle) == 2 and middle[0] == middle[1]:
            middle = middle[:1]
        closing = [sep if sep >= 0 else model.eos]
        return [*opening, *first, *middle, *second, *[token for token in closing if token >= 0]]

    # -- computing (engine's thread) ----------------------------------------------------------------------------------

    def batches(self, lists: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Groups of indices, each for one decode; sorted by length, to reduce waste."""
        group: list[int] = []
        tokens = 0
        for index in sorted(range(len(lists)), key=lambda i: len(lists[i])):
            if group and (tokens + len(lists[index]) > self._batch_fill or len(group) == _MAX_SEQ):
                yield group
                group, tokens = [], 0
            group.append(index)
            tokens += len(lists[index])
        if group:
            yield group

    def compute(self, lists: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """One decode; raw pooled rows of shape ``(len(lists), dimensions)``."""
        lib = self._lib
        if self._memory:
            lib.llama_memory_clear(self._memory, False)
        self._batch.clear()
        for slot, tokens in enumerate(lists):
            begin = self._batch.size
            self._batch.add(slot, tokens, 0, output_last=True)
            self._batch.outputs[begin : self._batch.size] = 1  # pooling reads every token's output
        self._batch.struct.n_tokens = self._batch.size
        run = lib.llama_decode if self._memory else lib.llama_encode
        if (status := run(self._pointer, self._batch.struct)) != 0:
            raise EngineError(f"Embedding failed with {status}: {recent_log() or 'no reason given'}.")
        rows = np.empty((len(lists), self.dimensions), dtype=np.float32)
        for slot in range(len(lists)):
            pointer = lib.llama_get_embeddings_seq(self._pointer, slot)
            if not pointer:
                raise EngineError("llama.cpp gave no pooled embedding; the model's pooling is unknown.")
            address = ctypes.addressof(pointer.contents)
            row: Any = (ctypes.c_float * self.dimensions).from_address(address)
            rows[slot] = np.frombuffer(row, dtype=np.float32)
        return rows


def normalise(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: npt.NDArray[np.float32] = (rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return result
