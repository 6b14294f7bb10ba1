"""What a model may take on GPUs: all its layers with as long a context as fits, else a modest context and as many layers.

The order in which something is given up: cells beyond the context, then the context down to 8,192 tokens, then layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from parlant_local.engine.host_memory import CELL_MULTIPLE
from parlant_local.engine.layout import Layout
from parlant_local.engine.native.devices import Device
from parlant_local.engine.placement import Need, Placement
from parlant_local.errors import InsufficientMemoryError
from parlant_local.gguf_info import GGUFHeader, MemoryEstimate
from parlant_local.settings import EngineSettings

__all__ = ["GPU_MICRO_BATCH", "DeviceMemory"]

GPU_MICRO_BATCH = 512
_LEAST_CTX = 8_192  # a turn's longest prompt and its answer; a context that is not set shrinks to this before layers go
_MOST_CELLS = 1 << 21
_MIB = 1024 * 1024


class DeviceMemory:
    """``available``: bytes of the machine's memory that can be allocated now."""

    def __init__(
        self,
        header: GGUFHeader,
        settings: EngineSettings,
        n_seq: int,
        gpus: Sequence[Device],
        available: int,
        *,
        unified: bool,
    ) -> None:
        self._settings = settings
        self._gpus = gpus
        self._available = available
        self._shares = 1 if unified else n_seq
        self._need = Need(
            header,
            settings.kv_type or "f16",
            n_seq,
            settings.n_ubatch or GPU_MICRO_BATCH,
            settings.flash_attention != "off",
        )
        self.all_layers = self._need.layers
        asked = settings.n_gpu_layers
        self._wanted = self.all_layers if asked < 0 else min(asked, self.all_layers)
        self.fixed = self._need.caches(CELL_MULTIPLE) == self._need.caches(0)
        """Cells take nothing."""
        least = settings.n_ctx or min(header.context_length or 4096, _LEAST_CTX)
        self._least = max(least, settings.kv_tokens or 0) if unified else least
        self.placement = self._place(self._least)
        self.max_cells = self._max_cells()
        """Cells that each sequence may have."""

    def _place(self, cells: int) -> Placement:
        """The wanted layers, or as many as fit."""
        for layers in range(self._wanted, 0, -1):
            if (found := self._fits(cells, layers)) is not None:
                return found
        return Placement(self._need, (0,) * len(self._gpus), shared=False)

    def _fits(self, cells: int, layers: int) -> Placement | None:
        """Where the last ``layers`` layers with ``cells`` for each sequence would be; None where they don't fit."""
        found = Placement.of(self._need, self._gpus, cells * self._shares, layers)
        if found is None or (found.shared and found.estimate(cells * self._shares).total > self._available):
            return None
        return found

    def _max_cells(self) -> int:
        if self.fixed or self.layers < self._wanted:
            return _MOST_CELLS if self.fixed else self._least
        low, high = self._least // CELL_MULTIPLE, _MOST_CELLS // CELL_MULTIPLE
        while low < high:
            middle = (low + high + 1) // 2
            if self._has_room(middle * CELL_MULTIPLE):
                low = middle
            else:
                high = middle - 1
        return max(self._least, low * CELL_MULTIPLE)

    def _has_room(self, cells: int) -> bool:
        found = self._fits(cells, self._wanted)
        return found is not None and found.host(cells * self._shares).total <= self._available

    @property
    def layers(self) -> int:
        return self.placement.layers

    def settle(self, cells: int) -> Placement:
        """The placement that has room for ``cells`` in all."""
        if self.layers == self._wanted:
            self.placement = self._fits(cells // self._shares, self._wanted) or self.placement
        return self.placement

    def estimate(self, cells: int) -> MemoryEstimate:
        return self.placement.estimate(cells)

    def message(self) -> str | None:
        """That some layers stay on the processor, where that was not asked for."""
        if self._settings.n_gpu_layers >= 0 or self.layers == self.all_layers:
            return None
        return (
            f"{self.layers} of its {self.all_layers} layers are on the GPU, which has {_free(self._gpus)} MiB free, and the "
            "others are computed by the processor; a smaller model or quantization fits as a whole."
        )

    def check(self, name: str, layout: Layout) -> None:
        """Raises :class:`InsufficientMemoryError` where the asked-for layers don't fit, or what is left for the processor."""
        if self._settings.n_gpu_layers >= 0 and self.layers < self._wanted:
            wanted = Placement.of(self._need, [_boundless(gpu) for gpu in self._gpus], self._least, self._wanted)
            assert wanted is not None
            needed = sum(device.total for device in wanted.devices(self._least * self._shares))
            raise InsufficientMemoryError(
                f"{self._wanted} layers of {name} with {self._least} tokens need {needed // _MIB} MiB of GPU memory; "
                f"{_free(self._gpus)} MiB are free, enough for {self.layers} layers.",
                needed=needed,
                available=_free(self._gpus) * _MIB,
                hint=f"Set engine.n_gpu_layers to {self.layers} or less, or leave it unset; or lower engine.n_ctx.",
            )
        host = self.placement.host(layout.max_cells)
        if host.total > self._available:
            raise InsufficientMemoryError(
                f"{name} needs {host.total // _MIB} MiB besides the {self.layers} of {self.all_layers} layers that the GPU "
                f"holds (weights {host.weights // _MIB}, KV cache of {layout.max_cells} tokens {host.kv_cache // _MIB}, "
                f"compute buffers {host.compute // _MIB}, vocabulary {host.vocabulary // _MIB}); "
                f"{self._available // _MIB} MiB are available.",
                needed=host.total,
                available=self._available,
                hint="Use a smaller model or quantization, or lower engine.n_ctx.",
            )


def _free(gpus: Sequence[Device]) -> int:
    return sum(gpu.free for gpu in gpus) // _MIB


def _boundless(gpu: Device) -> Device:
    return Device(gpu.name, gpu.description, gpu.kind, 1 << 50, 1 << 50)
