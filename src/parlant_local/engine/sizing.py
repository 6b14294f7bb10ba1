"""Sizes a model for this machine: threads, context, KV cells and their layout, and whether it fits at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from parlant_local.cores import usable_cores
from parlant_local.engine.layout import Layout
from parlant_local.engine.native import library, system_info
from parlant_local.errors import InsufficientMemoryError
from parlant_local.gguf_info import GGUFHeader, MemoryEstimate, available_memory, estimate_memory
from parlant_local.settings import EngineSettings
from parlant_local.settings.engine import FlashAttention

__all__ = ["Sizing", "micro_batch", "on_gpu", "outlook", "plan"]

_MIB = 1024 * 1024
_KV_SHARE = 0.6  # of the memory that is left once the weights are in
_MIN_CTX = 512
_CELL_MULTIPLE = 256  # llama.cpp rounds cells up to this
_GPU_SEQUENCES = 16
_CPU_SEQUENCES = 8
_CPU_FIRST_WAVE = 2  # on two threads; of three the first answer came a quarter later
_GPU_MICRO_BATCH = 512
_CPU_MICRO_BATCH = 128  # 64 took 3-6 % longer for prompts; 256 as long, with twice the attention scores in memory
_EXACT = frozenset({"F32", "F16"})
_UNQUANTIZED = frozenset({"f32", "f16", "bf16"})
_SCORES_SHARE = 1 / 8  # of the available memory, for attention scores without flash attention
_POOL_CELLS = 65_536  # that the cells of a unified cache may grow to by default
_FIRST_CELLS = 8_192  # what a context starts with; doubling it takes milliseconds per thousand tokens
_LEAST_FIRST_CELLS = 1_024


@dataclass(frozen=True, slots=True)
class Sizing:
    layout: Layout
    at: Callable[[int], MemoryEstimate]
    """Bytes with a number of cells: weights, KV cache, compute buffers, vocabulary."""
    messages: tuple[str, ...]
    """What was reduced, and why."""

    @property
    def estimate(self) -> MemoryEstimate:
        """With the cells that it starts with."""
        return self.at(self.layout.cells)

    @property
    def most(self) -> MemoryEstimate:
        """With all the cells that it may grow to."""
        return self.at(self.layout.max_cells)


def plan(header: GGUFHeader, name: str, settings: EngineSettings) -> Sizing:
    """The layout for a model that is about to be loaded.

    The context is as trained, or reduced to what fits (with a message). Raises :class:`InsufficientMemoryError`, with figures,
    where weights, KV cache and compute buffers together exceed the memory available.
    """
    memory, sizing = _sized(header, settings)
    memory.check(name, sizing)
    return sizing


def outlook(header: GGUFHeader, settings: EngineSettings) -> Sizing:
    """What :func:`plan` would be, whether it fits or not."""
    return _sized(header, settings)[1]


def _sized(header: GGUFHeader, settings: EngineSettings) -> tuple[_Memory, Sizing]:
    messages: list[str] = []
    n_threads = settings.n_threads or usable_cores()
    # A split cache was 10 % faster for unrelated requests, but gave the first answer three times as late.
    unified = settings.unified_kv is None or settings.unified_kv
    n_seq, first_wave = _sequences(header, settings, n_threads, unified=unified)
    memory = _Memory(header, settings, n_seq, unified)
    n_ctx = _context(header, settings, memory.max_cells, messages)
    max_cells = _max_cells(settings, n_ctx, n_seq, memory.max_cells, messages, unified=unified)
    flash = memory.flash_attention(max_cells)
    cells = max_cells if memory.fixed else _first_cells(header, settings, n_ctx, max_cells, 1 if unified else n_seq)
    layout = Layout(
        n_ctx=n_ctx,
        cells=cells,
        max_cells=max_cells,
        n_seq=n_seq,
        first_wave=first_wave,
        unified=unified,
        n_batch=min(settings.n_batch, cells),
        n_ubatch=min(micro_batch(settings), settings.n_batch, cells),
        n_threads=n_threads,
        n_threads_batch=settings.n_threads_batch or n_threads,
        n_threads_vary=settings.n_threads is None and settings.n_threads_batch is None and not memory.gpu,
        flash_attention=flash,
        kv_type=settings.kv_type or ("bf16" if flash == "off" and not memory.gpu and _prefers_bf16(header) else "f16"),
    )
    return memory, Sizing(layout, partial(memory.estimate, flash=flash), tuple(messages))


class _Memory:
    """What a KV cache takes of the available memory."""

    def __init__(self, header: GGUFHeader, settings: EngineSettings, n_seq: int, unified: bool) -> None:
        self.gpu = on_gpu(settings)
        self._header = header
        self._settings = settings
        self._n_seq = n_seq
        self._unified = unified
        self._available = available_memory()
        self._per_cell = (
            self.estimate(2 * _CELL_MULTIPLE).kv_cache - self.estimate(_CELL_MULTIPLE).kv_cache
        ) // _CELL_MULTIPLE
        self.fixed = self._per_cell == 0
        """Cells take nothing: its memory is one state per sequence."""
        self.max_cells = self._max_cells()
        """Cells that each sequence may have; practically unlimited where memory can't be estimated."""

    def estimate(self, cells: int, flash: FlashAttention = "on") -> MemoryEstimate:
        return estimate_memory(
            self._header,
            cells,
            kv_type=self._settings.kv_type or "f16",  # as large as bf16
            n_seq=self._n_seq,
            n_ubatch=micro_batch(self._settings),
            flash_attention=flash != "off",
            swa_full=True,
        )

    def _max_cells(self) -> int:
        if self._per_cell <= 1 or self.gpu:
            return 1 << 30
        room = max(0, int((self._available - self._header.weights_bytes) * _KV_SHARE))
        cells = room // self._per_cell
        return (cells if self._unified else cells // self._n_seq) // _CELL_MULTIPLE * _CELL_MULTIPLE

    def flash_attention(self, cells: int) -> FlashAttention:
        """As set; on ``auto``, off on a CPU whose memory has room for the attention scores.

        Steps of 2 to 63 tokens take up to twice the time with it here, and large ones as long or a tenth less.
        """
        wanted = self._settings.flash_attention
        if wanted != "auto" or self.gpu or self._settings.kv_type not in (None, *_UNQUANTIZED):
            return wanted
        without = self.estimate(cells, "off")
        has_room = without.compute <= self._available * _SCORES_SHARE and without.total <= self._available
        return "off" if has_room else wanted

    def check(self, name: str, sizing: Sizing) -> None:
        """Raises :class:`InsufficientMemoryError` where the most that it may take exceeds a CPU's memory."""
        needed, available = sizing.most, self._available
        if needed.total > available and not self.gpu:
            raise InsufficientMemoryError(
                f"{name} needs {needed.total // _MIB} MiB (weights {needed.weights // _MIB}, KV cache of "
                f"{sizing.layout.max_cells} tokens {needed.kv_cache // _MIB}, compute buffers {needed.compute // _MIB}, "
                f"vocabulary {needed.vocabulary // _MIB}); {available // _MIB} MiB are available.",
                needed=needed.total,
                available=available,
                hint=_memory_hint(self.max_cells, self._header, available, unified=self._unified),
            )


def _context(header: GGUFHeader, settings: EngineSettings, max_cells: int, messages: list[str]) -> int:
    """As set or trained; capped by the model's position table, and by memory where it is not set."""
    trained = header.context_length or 4096
    n_ctx = settings.n_ctx or trained
    rows = header.position_rows
    if rows is not None and n_ctx > rows:
        n_ctx = rows
        messages.append(
            f"its context is {rows} tokens: it has a table of learned positions, which engine.n_ctx can't extend."
        )
    if settings.n_ctx is None and n_ctx > max_cells:
        n_ctx = max(_MIN_CTX, max_cells)
        messages.append(
            f"its context is {n_ctx} tokens here instead of the {trained} it was trained for, to fit in memory; "
            "engine.n_ctx sets another one."
        )
    return n_ctx


def _first_cells(header: GGUFHeader, settings: EngineSettings, n_ctx: int, max_cells: int, shares: int) -> int:
    """A modest start, from which the cells grow on demand; all at once where ``kv_tokens`` sets a number."""
    if settings.kv_tokens is not None and shares == 1:
        return max_cells
    share = max(_LEAST_FIRST_CELLS, min(n_ctx, _FIRST_CELLS))
    # llama.cpp chooses between two sets of rope factors by the size of the context: it must not change in mid-sequence.
    long_from = (header.of_architecture("rope.scaling.original_context_length") or 0) + 1
    if n_ctx >= long_from > share and any(tensor.name == "rope_factors_long.weight" for tensor in header.tensors):
        share = -(-long_from // _CELL_MULTIPLE) * _CELL_MULTIPLE
    return min(max_cells, share * shares)


def _max_cells(
    settings: EngineSettings, n_ctx: int, n_seq: int, max_cells: int, messages: list[str], *, unified: bool
) -> int:
    if unified:
        if settings.kv_tokens is not None:
            return max(n_ctx, settings.kv_tokens)
        wanted = min(max(2 * n_ctx, _POOL_CELLS), max(n_ctx * n_seq, _LEAST_FIRST_CELLS))
        return max(n_ctx, min(wanted, max_cells))
    if settings.kv_tokens is not None:
        messages.append(
            f"engine.kv_tokens is not used: a split cache gives each of {n_seq} sequences {n_ctx} cells; "
            "set engine.n_ctx and engine.n_seq_max, or engine.unified_kv."
        )
    return n_ctx * n_seq


def _sequences(header: GGUFHeader, settings: EngineSettings, n_threads: int, *, unified: bool) -> tuple[int, int]:
    """Concurrent sequences, the slot for interactive calls included, and how many of them until a first request finishes."""
    max_sequences = library(settings.library).build.max_sequences - 1
    if settings.n_seq_max or on_gpu(settings):
        n_seq = min(settings.n_seq_max or _GPU_SEQUENCES, max_sequences)
        return n_seq, n_seq
    first_wave = max(_CPU_FIRST_WAVE, 2 * n_threads - 2) + 1
    needs_memory = (
        not unified or header.is_recurrent
    )  # each further sequence takes a share of the cache, or a state of its own
    n_seq = first_wave if needs_memory else max(first_wave, _CPU_SEQUENCES + 1)
    return min(n_seq, max_sequences), min(first_wave, max_sequences)


def _prefers_bf16(header: GGUFHeader) -> bool:
    """Whether this CPU multiplies bf16 natively, and the weights are less precise than bf16."""
    return (header.quantization or "F32") not in _EXACT and "AVX512_BF16 = 1" in system_info()


def micro_batch(settings: EngineSettings) -> int:
    """Tokens per micro-batch."""
    return settings.n_ubatch or (_GPU_MICRO_BATCH if on_gpu(settings) else _CPU_MICRO_BATCH)


def on_gpu(settings: EngineSettings) -> bool:
    """Whether layers go to a GPU: the settings offload some, and the build supports one."""
    return settings.n_gpu_layers != 0 and bool(library(settings.library).llama_supports_gpu_offload())


def _memory_hint(max_cells: int, header: GGUFHeader, available: int, *, unified: bool) -> str:
    if header.weights_bytes > available:
        return "Use a smaller model or quantization: `parlant-local recommend` names some that fit."
    if not unified:
        return f"Set engine.n_ctx to {max(_MIN_CTX, max_cells)} or less, engine.n_seq_max lower, or engine.unified_kv to true."
    return f"Set engine.n_ctx and engine.kv_tokens to {max(_MIN_CTX, max_cells)} or less, or engine.kv_type to q8_0."
