"""Which layers go to which GPU, and what that takes of each. Pure.

llama.cpp offloads layers from the last one back, the output layer first, and divides them among the GPUs in their order. A layer's
keys and values are where the layer is; the embedding table is always read by the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from parlant_local.engine.native.devices import Device
from parlant_local.gguf_info import GGUFHeader
from parlant_local.gguf_info.layers import LayerWeights, kv_per_cell, state_bytes
from parlant_local.gguf_info.memory import MemoryEstimate, compute_bytes, device_compute_bytes, vocabulary_bytes

__all__ = ["GPU_RESERVE", "Demand", "Need", "Placement", "shares_memory"]

GPU_RESERVE = 640 << 20  # of each GPU: the driver's context, cuBLAS' workspaces and pools, the display
_STEPS = 12  # of the search for an even division: to 1/4096 of the memory


@dataclass(frozen=True)
class Need:
    """What there is to place."""

    header: GGUFHeader
    kv_type: str
    n_seq: int
    n_ubatch: int
    flash_attention: bool

    @cached_property
    def weights(self) -> LayerWeights:
        return LayerWeights.of(self.header)

    @cached_property
    def layers(self) -> int:
        """As llama.cpp counts: the output layer is one."""
        return len(self.weights.blocks) + 1

    @cached_property
    def layer_weights(self) -> tuple[int, ...]:
        return (*self.weights.blocks, self.weights.output)

    @cached_property
    def _cells_and_states(self) -> tuple[list[float], list[int]]:
        return kv_per_cell(self.header, self.kv_type), state_bytes(self.header, self.n_seq)

    def caches(self, cells: int) -> list[int]:
        """Keys, values and states of each layer; the output layer has none."""
        sizes, states = self._cells_and_states
        return [*(int(size * cells) + state for size, state in zip(sizes, states, strict=True)), 0]

    def compute(self, cells: int, gpus: int, *, has_output: bool) -> int:
        """Buffers on one GPU of ``gpus``."""
        return device_compute_bytes(
            self.header,
            cells,
            n_outputs=self.n_ubatch if has_output else 0,
            n_ubatch=self.n_ubatch,
            flash_attention=self.flash_attention,
            copies=4 if gpus > 1 else 1,  # of a batch's inputs, so that the GPUs can work in a pipeline
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """Bytes on one GPU."""

    weights: int = 0
    kv_cache: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache + self.compute


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the layers of a model are."""

    need: Need
    split: tuple[int, ...]
    """Layers on each GPU; the output layer counts as one, and is the last."""
    shared: bool
    """The GPUs compute in the machine's own memory."""

    @classmethod
    def of(cls, need: Need, gpus: Sequence[Device], cells: int, layers: int) -> Placement | None:
        """The last ``layers`` layers on ``gpus``, as evenly as their free memory is; None where that is not enough."""
        shared = any(map(shares_memory, gpus))
        budgets = [max(0, gpu.free - GPU_RESERVE) for gpu in gpus]
        low, high = 0.0, 1.0
        best = _packed(need, budgets, cells, layers, 1.0)
        for _ in range(_STEPS if best is not None and len(gpus) > 1 else 0):
            middle = (low + high) / 2
            if (found := _packed(need, budgets, cells, layers, middle)) is not None:
                best, high = found, middle
            else:
                low = middle
        return None if best is None else cls(need, best, shared)

    @property
    def layers(self) -> int:
        """How many are offloaded, as llama.cpp counts."""
        return sum(self.split)

    def devices(self, cells: int) -> tuple[Demand, ...]:
        """What each GPU holds with ``cells``."""
        need, caches, at = self.need, self.need.caches(cells), self.need.layers - self.layers
        found = []
        for count in self.split:
            end = at + count
            compute = need.compute(cells, len(self.split), has_output=end == need.layers) if count else 0
            found.append(Demand(sum(need.layer_weights[at:end]), sum(caches[at:end]), compute))
            at = end
        return tuple(found)

    def host(self, cells: int) -> MemoryEstimate:
        """What stays in the machine's memory."""
        need, weights = self.need, self.need.weights
        on_cpu = need.layers - self.layers
        return MemoryEstimate(
            weights=weights.other
            + sum(weights.blocks[:on_cpu])
            + (0 if self.layers else weights.output - weights.copied),
            kv_cache=sum(need.caches(cells)[:on_cpu]),
            compute=compute_bytes(
                need.header,
                cells if on_cpu else 1,
                kv_type=need.kv_type,
                n_outputs=need.n_seq,
                n_ubatch=need.n_ubatch,
                flash_attention=need.flash_attention,
            ),
            vocabulary=vocabulary_bytes(need.header),
        )

    def estimate(self, cells: int) -> MemoryEstimate:
        """Everything, wherever it is."""
        host, devices = self.host(cells), self.devices(cells)
        return MemoryEstimate(
            weights=host.weights + sum(device.weights for device in devices),
            kv_cache=host.kv_cache + sum(device.kv_cache for device in devices),
            compute=host.compute + sum(device.compute for device in devices),
            vocabulary=host.vocabulary,
        )


def shares_memory(device: Device) -> bool:
    """Whether a GPU computes in the machine's own memory: integrated ones, and Apple's, which ggml lists as any other."""
    return device.kind == "igpu" or device.name.startswith(("MTL", "Metal"))


def _packed(need: Need, budgets: Sequence[int], cells: int, layers: int, share: float) -> tuple[int, ...] | None:
    """Fills each GPU in turn up to ``share`` of its budget; None where the last ``layers`` layers don't fit."""
    sizes = [weights + cache for weights, cache in zip(need.layer_weights, need.caches(cells), strict=True)]
    inner, last = (need.compute(cells, len(budgets), has_output=output) for output in (False, True))
    at, split = need.layers - layers, []
    for budget in budgets:
        first, taken = at, 0
        while at < need.layers:
            taken += sizes[at]
            if taken + (last if at + 1 == need.layers else inner) > budget * share:
                break
            at += 1
        split.append(at - first)
    return tuple(split) if at == need.layers else None
