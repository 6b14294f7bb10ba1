"""Embeddings: a context of its own, pooled as the GGUF says, many texts per decode."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parlant_local.engine.context import Batch
from parlant_local.engine.embedded_texts import EmbeddedTexts
from parlant_local.engine.layout import FLASH
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import clear_log, library, recent_log
from parlant_local.engine.sizing import on_gpu
from parlant_local.errors import EngineError, InsufficientMemoryError, ModelLoadError
from parlant_local.gguf_info import GGUFHeader, estimate_memory
from parlant_local.gguf_info.memory import compute_bytes
from parlant_local.settings import EngineSettings

__all__ = ["EmbeddingContext", "Embeddings", "Reranking"]

_POOLING = {-1: "unspecified", 0: "none", 1: "mean", 2: "cls", 3: "last", 4: "rank"}
_NONE, _MEAN, _LAST, _RANK = 0, 1, 3, 4
_MAX_SEQ = 64
_MAX_STATES = 8  # sequences of a recurrent model, each with a state of its own
_MAX_CTX = 8192
_CPU_FILL = 256
"""Tokens of a decode of several texts. An encoder's attention runs over the whole batch, masked or not, and a CPU pays for
it: 2,048 tokens of short texts took 1.4 times as long as 256."""
_GPU_FILL = 2048
_LOGITS_BYTES = 64 << 20
"""For rows of logits: llama.cpp computes and copies one for each token whose embedding it gives."""
_LEAST_CHUNK = 32

MissingMemory = Callable[[int], int]
"""Bytes that are missing to take so many more; 0 where there is room."""


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


class EmbeddingContext(EmbeddedTexts):
    """A ``llama_context`` that embeds. Used from the engine's thread alone."""

    def __init__(
        self,
        model: LoadedModel,
        header: GGUFHeader,
        settings: EngineSettings,
        threads: int,
        missing: MissingMemory = lambda _: 0,
    ) -> None:
        super().__init__(model.hold(), max(1, min(settings.n_ctx or _MAX_CTX, model.n_ctx_train)))
        self._lib = library()
        self._header = header
        self._flash = settings.flash_attention
        self._missing = missing
        self._closed = False
        self.pooling_type = self._trained_pooling()
        self._chunked = model.generates and self.pooling_type != _RANK
        """Pooled here, from a few tokens at once: a text need not fit a micro-batch, for which there would be logits."""
        self._chunk = self._chunk_size(on_gpu(settings))
        self._max_seq = _MAX_STATES if model.is_recurrent else _MAX_SEQ
        self._fill = min(settings.n_batch, _GPU_FILL if on_gpu(settings) else _CPU_FILL)
        self._params = self._make_params(settings, threads)
        self._pointer: Any = None
        self._size = 0
        try:
            least = header.long_rope_from(self.max_tokens) or 0
            self._open(self._rounded(max(least, min(self._fill, max(self.max_tokens, self._chunk)))))
            if not self._chunked:
                self.pooling_type = int(self._lib.llama_pooling_type(self._pointer))
        except BaseException:
            self.close()
            raise
        self.dimensions = model.n_cls_out if self.pooling_type == _RANK else model.n_embd_out

    def _trained_pooling(self) -> int:
        model = self._model
        pooling = int(model.metadata.get(f"{model.architecture}.pooling_type", _NONE))
        # A chat model specifies no pooling: use the mean of its last layer.
        return _MEAN if model.generates and pooling <= _NONE else pooling

    def _chunk_size(self, gpu: bool) -> int:
        rows = _LOGITS_BYTES * (4 if gpu else 1) // (8 * max(1, self._model.n_vocab))
        return max(_LEAST_CHUNK, min(512 if gpu else 128, rows // _LEAST_CHUNK * _LEAST_CHUNK))

    def _make_params(self, settings: EngineSettings, threads: int) -> Any:
        params = self._lib.llama_context_default_params()
        params.n_seq_max = self._max_seq
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = FLASH[settings.flash_attention]
        params.rope_freq_base = settings.rope_freq_base or 0.0
        params.rope_freq_scale = settings.rope_freq_scale or 0.0
        params.embeddings = True
        params.no_perf = True
        if self._chunked:
            params.pooling_type = _NONE
        return params

    def _rounded(self, tokens: int) -> int:
        # If the batch is not a multiple of n_seq_max, llama.cpp pools mismatched matrices and aborts the process.
        return -(-tokens // _MAX_SEQ) * _MAX_SEQ

    def _open(self, tokens: int) -> None:
        """A context for ``tokens`` at once."""
        clear_log()
        params = self._params
        params.n_ctx = tokens
        params.n_batch = params.n_ubatch = min(tokens, self._chunk) if self._chunked else tokens
        with self._model.changing:
            self._pointer = self._lib.llama_init_from_model(self._model.pointer, params) or None
        if self._pointer is None:
            raise ModelLoadError(f"{self._model.path.name}: llama.cpp refused an embedding context ({recent_log()}).")
        self._size = tokens
        self._model.adapt(self._pointer)
        self._memory: Any = self._lib.llama_get_memory(self._pointer)
        self._batch = Batch(int(params.n_batch))

    @property
    def memory_bytes(self) -> int:
        """What it takes now, as estimated."""
        return self._bytes(self._size) if self._size else 0

    def _bytes(self, tokens: int) -> int:
        flash = self._flash != "off"
        if not self._chunked:
            return compute_bytes(
                self._header, tokens, kv_type="f16", n_outputs=0, n_ubatch=tokens, flash_attention=flash
            )
        needed = estimate_memory(
            self._header, tokens, n_seq=self._max_seq, n_ubatch=self._chunk, flash_attention=flash, swa_full=True
        )
        logits = 2 * self._chunk * self._model.n_vocab * 4
        return needed.kv_cache + needed.compute + logits

    def _reach(self, tokens: int) -> None:
        """Makes a larger context where ``tokens`` need one; there is nothing in the old one to keep."""
        wanted = self._rounded(tokens)
        if wanted <= self._size:
            return
        if (missing := self._missing(self._bytes(wanted) - self.memory_bytes)) > 0:
            raise InsufficientMemoryError(
                f"Embedding {tokens} tokens with {self._model.path.name} needs {self._bytes(wanted) >> 20} MiB, "
                f"{missing >> 20} more than there are.",
                needed=self._bytes(wanted),
                available=self._bytes(wanted) - missing,
                hint="Split the text, lower engine.n_ctx, raise engine.memory_mb or unload other models.",
            )
        self._free()
        self._open(wanted)

    def _free(self) -> None:
        if self._pointer is not None:
            pointer, self._pointer, self._size = self._pointer, None, 0
            self._lib.llama_free(pointer)

    @property
    def pooling(self) -> str:
        return _POOLING.get(self.pooling_type, "unspecified")

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._free()
            self._model.release()

    # -- computing (engine's thread) ----------------------------------------------------------------------------------

    def batches(self, lists: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Groups of indices, each for one decode; sorted by length, to reduce waste."""
        group: list[int] = []
        tokens = 0
        for index in sorted(range(len(lists)), key=lambda i: len(lists[i])):
            if group and (tokens + len(lists[index]) > self._fill or len(group) == self._max_seq):
                yield group
                group, tokens = [], 0
            group.append(index)
            tokens += len(lists[index])
        if group:
            yield group

    def compute(self, lists: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Raw pooled rows of shape ``(len(lists), dimensions)``."""
        self._reach(sum(map(len, lists)))
        if self._memory:
            self._lib.llama_memory_clear(self._memory, False)
        return self._pooled_here(lists) if self._chunked else self._pooled_by_llama(lists)

    def _pooled_by_llama(self, lists: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        self._batch.clear()
        for slot, tokens in enumerate(lists):
            begin = self._batch.size
            self._batch.add(slot, tokens, 0, output_last=True)
            self._batch.outputs[begin : self._batch.size] = 1  # pooling reads every token's output
        self._run()
        rows = np.empty((len(lists), self.dimensions), dtype=np.float32)
        for slot in range(len(lists)):
            rows[slot] = self._row(self._lib.llama_get_embeddings_seq(self._pointer, slot))
        return rows

    def _pooled_here(self, lists: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        rows = np.zeros((len(lists), self.dimensions), dtype=np.float32)
        if self.pooling_type == _LAST:
            self._lib.llama_set_embeddings(self._pointer, False)  # no logits for the tokens before
            for _ in self._chunks([(slot, tokens[:-1], 0) for slot, tokens in enumerate(lists)]):
                pass
            self._lib.llama_set_embeddings(self._pointer, True)
        parts = [
            (slot, tokens[-1:], len(tokens) - 1) if self.pooling_type == _LAST else (slot, tokens, 0)
            for slot, tokens in enumerate(lists)
        ]
        for slots, positions in self._chunks(parts):
            for index, (slot, position) in enumerate(zip(slots, positions, strict=True)):
                if self.pooling_type in (_MEAN, _LAST) or position == 0:
                    rows[slot] += self._row(self._lib.llama_get_embeddings_ith(self._pointer, index))
        if self.pooling_type == _MEAN:
            rows /= np.array([[len(tokens)] for tokens in lists], dtype=np.float32)
        return rows

    def _chunks(self, parts: Sequence[tuple[int, Sequence[int], int]]) -> Iterator[tuple[list[int], list[int]]]:
        """Decodes parts of texts, given with their slots and first positions; slot and position of each token decoded."""
        batch = self._batch
        batch.clear()
        for slot, tokens, first in parts:
            done = 0
            while done < len(tokens):
                count = min(len(tokens) - done, batch.room)
                batch.add(slot, tokens[done : done + count], first + done, output_last=False)
                done += count
                if not batch.room:
                    yield self._decoded()
        if batch.size:
            yield self._decoded()

    def _decoded(self) -> tuple[list[int], list[int]]:
        batch = self._batch
        self._run()
        found = batch.sequences[: batch.size].tolist(), batch.positions[: batch.size].tolist()
        batch.clear()
        return found

    def _run(self) -> None:
        self._batch.struct.n_tokens = self._batch.size
        run = self._lib.llama_decode if self._memory else self._lib.llama_encode
        if (status := run(self._pointer, self._batch.struct)) != 0:
            raise EngineError(f"Embedding failed with {status}: {recent_log() or 'no reason given'}.")

    def _row(self, pointer: Any) -> npt.NDArray[np.float32]:
        if not pointer:
            raise EngineError("llama.cpp returned no embedding; the model's pooling is unknown.")
        row: Any = (ctypes.c_float * self.dimensions).from_address(ctypes.addressof(pointer.contents))
        return np.frombuffer(row, dtype=np.float32)


def normalise(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: npt.NDArray[np.float32] = (rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return result
