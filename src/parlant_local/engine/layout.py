"""The layout of a model's KV cache, and llama.cpp's constants for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the trial process starts without pydantic
    from parlant_local.settings.engine import FlashAttention, KvType

__all__ = ["FLASH", "KV_TYPES", "Layout"]

KV_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "bf16": 30}
FLASH: dict[FlashAttention, int] = {"auto": -1, "off": 0, "on": 1}


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of the KV cache."""

    n_ctx: int
    """Longest sequence, in tokens."""
    cells: int
    """Cells at first, in all; in a split cache every sequence owns an equal share."""
    n_seq: int
    unified: bool
    n_batch: int
    n_ubatch: int
    n_threads: int
    n_threads_batch: int
    n_threads_vary: bool = False
    """Small steps may use fewer threads where that is faster."""
    flash_attention: FlashAttention = "auto"
    kv_type: KvType = "f16"
    max_cells: int = 0
    """What the cells may grow to."""
    gpu_split: tuple[int, ...] = ()
    """Layers on each GPU, the output layer counting as one."""
    first_wave: int = 1 << 30
    """Concurrent sequences until a first one has finished."""

    @property
    def gpu_layers(self) -> int:
        """Layers on all GPUs."""
        return sum(self.gpu_split)
