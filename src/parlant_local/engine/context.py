"""One ``llama_context``: batches in, logits out, and the memory of its sequences. Used from the engine's thread alone."""

from __future__ import annotations

import ctypes
import time
from contextlib import nullcontext
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parlant_local.engine.layout import FLASH, KV_TYPES, Layout
from parlant_local.engine.media.projector import Projector
from parlant_local.engine.media.spans import Span
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import AbortFlag, clear_log, library, recent_log
from parlant_local.engine.threads import SMALL_STEP, ThreadChoice
from parlant_local.errors import EngineError, InsufficientMemoryError, ModelLoadError
from parlant_local.settings import EngineSettings

__all__ = ["Batch", "Context", "DecodeStatus"]

DecodeStatus = Literal["ok", "no_room", "aborted"]


class Batch:
    """Token, position and sequence arrays that llama.cpp reads in place."""

    def __init__(self, capacity: int) -> None:
        lib = library()
        self.capacity = capacity
        self.size = 0
        self.tokens = np.zeros(capacity, dtype=np.int32)
        self.positions = np.zeros(capacity, dtype=np.int32)
        self.sequences = np.zeros(capacity, dtype=np.int32)
        self.outputs = np.zeros(capacity, dtype=np.int8)
        self._counts = np.ones(capacity, dtype=np.int32)
        # seq_id is a pointer per token: each points at its element of `sequences`.
        base = self.sequences.ctypes.data
        self._pointers = (base + 4 * np.arange(capacity)).astype(np.uintp)
        self.struct = lib.llama_batch()
        self.struct.token = self.tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.embd = None
        self.struct.pos = self.positions.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.n_seq_id = self._counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.seq_id = self._pointers.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
        self.struct.logits = self.outputs.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    @property
    def room(self) -> int:
        return self.capacity - self.size

    def clear(self) -> None:
        self.size = 0

    def add(self, sequence: int, tokens: npt.ArrayLike, start: int, *, output_last: bool) -> int:
        """Appends ``tokens`` of ``sequence`` from position ``start``; returns the batch index of the last one."""
        values = np.asarray(tokens, dtype=np.int32)
        begin, end = self.size, self.size + len(values)
        self.tokens[begin:end] = values
        self.positions[begin:end] = np.arange(start, start + len(values), dtype=np.int32)
        self.sequences[begin:end] = sequence
        self.outputs[begin:end] = 0
        if output_last:
            self.outputs[end - 1] = 1
        self.size = end
        return end - 1


class Context:
    """A ``llama_context`` for generation."""

    def __init__(self, model: LoadedModel, settings: EngineSettings, layout: Layout) -> None:
        self._lib = library()
        self._model = model.hold()
        self._closed = False
        self.layout = layout
        self.abort = AbortFlag()
        self._params = _params(self._lib, settings, layout, self.abort)
        self._pointer: Any = None
        try:
            self._open(layout.cells)
        except BaseException:
            self.close()
            raise
        self.n_vocab = model.n_vocab
        flash = layout.flash_attention != "off"  # "auto" is on wherever llama.cpp can
        self._threads = ThreadChoice(layout.n_threads, flash_attention=flash) if layout.n_threads_vary else None
        self.can_trim = not model.is_recurrent and bool(self._memory)  # recurrent and hybrid memories can't be trimmed

    def _open(self, cells: int) -> None:
        clear_log()
        self._params.n_ctx = cells
        with self._model.changing:
            self._pointer = self._lib.llama_init_from_model(self._model.pointer, self._params)
        self._fresh = True
        if not self._pointer:
            self._pointer = None
            raise _refusal(self._model.path.name, cells, recent_log())
        self._model.adapt(self._pointer)
        self._memory: Any = self._lib.llama_get_memory(self._pointer)
        self.cells = cells
        self._current_threads = (self.layout.n_threads, self.layout.n_threads_batch)

    def resize(self, cells: int, *, keep: bool) -> bool:
        """Makes the cache anew with ``cells``; False, with the old one in place, where memory is short.

        ``keep``: there are sequences in it. They pass through host memory, shared cells as such, which takes milliseconds per
        thousand tokens; afterwards logits are gone.
        """
        try:
            state = self._save_all() if keep else None
        except MemoryError:
            return False
        old = self.cells
        self._free()
        try:
            self._open(cells)
            grown = True
        except InsufficientMemoryError:
            self._open(old)
            grown = False
        if state is not None and not int(self._lib.llama_state_set_data(self._pointer, _bytes(state), state.size)):
            raise EngineError(f"The KV cache could not be moved from {old} to {cells} cells: {recent_log()}.")
        return grown

    def _save_all(self) -> npt.NDArray[np.uint8]:
        size = int(self._lib.llama_state_get_size(self._pointer))
        state = np.empty(size, dtype=np.uint8)
        written = int(self._lib.llama_state_get_data(self._pointer, _bytes(state), size))
        if not 0 < written <= size:
            raise EngineError(f"The KV cache could not be saved ({written} of {size} bytes).")
        return state[:written]

    def _free(self) -> None:
        if self._pointer is not None:
            pointer, self._pointer, self._memory = self._pointer, None, None
            self._lib.llama_free(pointer)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._free()
            self._model.release()

    # -- computing ----------------------------------------------------------------------------------------------------

    def decode(self, batch: Batch) -> DecodeStatus:
        """Runs a batch. ``no_room`` leaves the memory as it was; ``aborted`` may leave finished micro-batches in it."""
        batch.struct.n_tokens = batch.size
        self._set_threads(batch.size)
        began = time.perf_counter()
        with self._model.changing if self._fresh else nullcontext():  # the first one prepares its graphs
            status = self._lib.llama_decode(self._pointer, batch.struct)
        self._fresh = False
        if status == 0:
            if self._threads is not None:
                self._threads.record(batch.size, time.perf_counter() - began)
            return "ok"
        if status == 1:
            return "no_room"
        if status == 2:
            return "aborted"
        raise EngineError(
            f"llama_decode failed with {status} on a batch of {batch.size}: {recent_log() or 'no reason given'}."
        )

    def decode_span(self, projector: Projector, span: Span, sequence: int, position: int) -> DecodeStatus:
        """Runs the embeddings of a picture or sound, from ``position`` on. ``no_room`` and ``aborted`` may leave a part of them."""
        self._set_threads(span.length)
        after = ctypes.c_int32()
        status = projector.decode(self._pointer, span, sequence, position, self.layout.n_batch, after)
        if status == 0:
            return "ok"
        if status in (1, 2):
            return "no_room" if status == 1 else "aborted"
        raise EngineError(
            f"A picture or sound of {span.length} embeddings failed with {status}: {recent_log() or 'no reason given'}."
        )

    def _set_threads(self, tokens: int) -> None:
        """Sets the number of threads for a batch of ``tokens``."""
        if self._threads is not None:
            small = self._threads.threads(tokens)
            wanted = (small, self.layout.n_threads_batch if tokens >= SMALL_STEP else small)
            if wanted != self._current_threads:
                self._lib.llama_set_n_threads(self._pointer, *wanted)
                self._current_threads = wanted

    def logits(self, index: int) -> npt.NDArray[np.float32]:
        """The logits of the batch token at ``index``, shape ``(n_vocab,)``: a view, valid until the next decode."""
        pointer = self._lib.llama_get_logits_ith(self._pointer, index)
        if not pointer:
            raise EngineError(f"llama.cpp has no logits for batch index {index}.")
        address = ctypes.addressof(pointer.contents)
        row: Any = (ctypes.c_float * self.n_vocab).from_address(address)
        return np.frombuffer(row, dtype=np.float32)

    # -- sequences ----------------------------------------------------------------------------------------------------

    def length(self, sequence: int) -> int:
        """Tokens that the memory holds for ``sequence``."""
        return int(self._lib.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def drop(self, sequence: int) -> None:
        self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def trim(self, sequence: int, length: int) -> bool:
        """Trims ``sequence`` to its first ``length`` tokens; False where this kind of memory can't be trimmed."""
        return bool(self._lib.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def fork(self, source: int, target: int, length: int) -> bool:
        """Gives ``target`` (empty) the first ``length`` tokens of ``source``: shared cells, or a copy in a split cache."""
        if self.layout.unified and self.can_trim:
            self._lib.llama_memory_seq_cp(self._memory, source, target, 0, length)
            return True
        self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        if self.length(target) == length or self.trim(target, length):
            return True
        self.drop(target)
        return False

    # -- states -------------------------------------------------------------------------------------------------------

    def save(self, sequence: int) -> npt.NDArray[np.uint8]:
        """The state of ``sequence`` in host memory."""
        size = int(self._lib.llama_state_seq_get_size(self._pointer, sequence))
        state = np.empty(size, dtype=np.uint8)
        written = int(self._lib.llama_state_seq_get_data(self._pointer, _bytes(state), size, sequence))
        if written != size:
            raise EngineError(f"The state of a sequence could not be saved ({written} of {size} bytes).")
        return state

    def restore(self, sequence: int, state: npt.NDArray[np.uint8]) -> bool:
        """Puts a saved state into ``sequence`` (empty); False where it does not fit or is not one of this context."""
        if int(self._lib.llama_state_seq_set_data(self._pointer, _bytes(state), state.size, sequence)) > 0:
            return True
        self.drop(sequence)
        return False


def _bytes(state: npt.NDArray[np.uint8]) -> Any:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _params(lib: Any, settings: EngineSettings, layout: Layout, abort: AbortFlag) -> Any:
    params = lib.llama_context_default_params()
    params.n_batch = layout.n_batch
    params.n_ubatch = layout.n_ubatch
    params.n_seq_max = layout.n_seq
    params.n_threads = layout.n_threads
    params.n_threads_batch = layout.n_threads_batch
    params.kv_unified = layout.unified
    params.flash_attn_type = FLASH[layout.flash_attention]
    params.type_k = params.type_v = KV_TYPES[layout.kv_type]
    params.rope_freq_base = settings.rope_freq_base or 0.0
    params.rope_freq_scale = settings.rope_freq_scale or 0.0
    params.abort_callback = abort.callback
    params.abort_callback_data = abort.data
    params.no_perf = True
    params.swa_full = True  # a full-size cache for sliding-window layers can be trimmed and forked like any other
    return params


def _refusal(name: str, cells: int, reason: str) -> ModelLoadError | InsufficientMemoryError:
    if "alloc" in reason:
        return InsufficientMemoryError(
            f"{name}: no memory for a context of {cells} tokens ({reason}).",
            needed=None,
            available=None,
            hint="Lower engine.n_ctx, engine.kv_tokens or engine.n_seq_max.",
        )
    return ModelLoadError(
        f"{name}: llama.cpp refused the context ({reason or 'no reason given'}).",
        hint="Check engine.kv_type and engine.flash_attention; a quantized V cache needs flash attention.",
    )
