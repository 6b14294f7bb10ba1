"""What a model may take where the processor computes: weights, cells and attention scores in the machine's memory."""

from __future__ import annotations

from parlant_local.engine.layout import Layout
from parlant_local.errors import InsufficientMemoryError
from parlant_local.gguf_info import GGUFHeader, MemoryEstimate, estimate_memory
from parlant_local.settings import EngineSettings
from parlant_local.settings.engine import FlashAttention

__all__ = ["CELL_MULTIPLE", "MIN_CTX", "HostMemory", "micro_batch_on_cpu"]

CELL_MULTIPLE = 256  # llama.cpp rounds cells up to this
_MICRO_BATCH = 128  # 64 took 3-6 % longer for prompts; 256 as long, with twice the attention scores in memory
_MEDIA_MICRO_BATCH = 512  # some models read all of a picture at once, which one micro-batch has to hold
MIN_CTX = 512
_MIB = 1024 * 1024
_KV_SHARE = 0.6  # of the memory that is left once the weights are in
_UNQUANTIZED = frozenset({"f32", "f16", "bf16"})
_SCORES_SHARE = 1 / 8  # of the available memory, for attention scores without flash attention


def micro_batch_on_cpu(settings: EngineSettings) -> int:
    """Tokens computed at once."""
    return settings.n_ubatch or (_MICRO_BATCH if settings.projector is None else _MEDIA_MICRO_BATCH)


class HostMemory:
    """``available``: bytes that can be allocated now."""

    def __init__(
        self, header: GGUFHeader, settings: EngineSettings, n_seq: int, available: int, *, unified: bool
    ) -> None:
        self._header = header
        self._settings = settings
        self._n_seq = n_seq
        self._unified = unified
        self._available = available
        self._per_cell = (
            self.estimate(2 * CELL_MULTIPLE).kv_cache - self.estimate(CELL_MULTIPLE).kv_cache
        ) // CELL_MULTIPLE
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
            n_ubatch=micro_batch_on_cpu(self._settings),
            flash_attention=flash != "off",
            swa_full=True,
        )

    def _max_cells(self) -> int:
        if self._per_cell <= 1:
            return 1 << 30
        room = max(0, int((self._available - self._header.weights_bytes) * _KV_SHARE))
        cells = room // self._per_cell
        return (cells if self._unified else cells // self._n_seq) // CELL_MULTIPLE * CELL_MULTIPLE

    def flash_attention(self, cells: int) -> FlashAttention:
        """As set; on ``auto``, off where there is room for the attention scores.

        Steps of 2 to 63 tokens take up to twice the time with it here, and large ones as long or a tenth less.
        """
        wanted = self._settings.flash_attention
        if wanted != "auto" or self._settings.kv_type not in (None, *_UNQUANTIZED):
            return wanted
        without = self.estimate(cells, "off")
        has_room = without.compute <= self._available * _SCORES_SHARE and without.total <= self._available
        return "off" if has_room else wanted

    def check(self, name: str, layout: Layout) -> None:
        """Raises :class:`InsufficientMemoryError` where the most that it may take exceeds what there is."""
        needed, available = self.estimate(layout.max_cells, layout.flash_attention), self._available
        if needed.total <= available:
            return
        raise InsufficientMemoryError(
            f"{name} needs {needed.total // _MIB} MiB (weights {needed.weights // _MIB}, KV cache of "
            f"{layout.max_cells} tokens {needed.kv_cache // _MIB}, compute buffers {needed.compute // _MIB}, "
            f"vocabulary {needed.vocabulary // _MIB}); {available // _MIB} MiB are available.",
            needed=needed.total,
            available=available,
            hint=self._hint(),
        )

    def _hint(self) -> str:
        most = max(MIN_CTX, self.max_cells)
        if self._header.weights_bytes > self._available:
            return "Use a smaller model or quantization: `parlant-local recommend` names some that fit."
        if not self._unified:
            return f"Set engine.n_ctx to {most} or less, engine.n_seq_max lower, or engine.unified_kv to true."
        return f"Set engine.n_ctx and engine.kv_tokens to {most} or less, or engine.kv_type to q8_0."
