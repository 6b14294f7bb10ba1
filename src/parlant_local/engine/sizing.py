"""Sizes a model for this machine: threads, context, KV cells and their layout, and whether it fits at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from parlant_local.cores import usable_cores
from parlant_local.engine.account import taken_in_process, without_ours
from parlant_local.engine.device_memory import GPU_MICRO_BATCH, DeviceMemory
from parlant_local.engine.host_memory import CELL_MULTIPLE, MIN_CTX, HostMemory, micro_batch_on_cpu
from parlant_local.engine.layout import Layout
from parlant_local.engine.native import devices, library, system_info
from parlant_local.engine.native.devices import Device
from parlant_local.engine.placement import GPU_RESERVE, Placement, shares_memory
from parlant_local.gguf_info import GGUFHeader, MemoryEstimate, available_memory
from parlant_local.settings import EngineSettings

__all__ = ["Sizing", "micro_batch", "on_gpu", "outlook", "plan", "room_on_gpus", "usable_gpus"]

_GPU_SEQUENCES = 16
_CPU_SEQUENCES = 8
_CPU_FIRST_WAVE = 2  # on two threads; of three the first answer came a quarter later
_EXACT = frozenset({"F32", "F16"})
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
    placement: Placement | None = None
    """Where its layers are, if any is on a GPU."""

    def in_ram(self, cells: int) -> int:
        """Bytes of the machine's memory with ``cells``: all of them, unless GPUs have memory of their own."""
        if self.placement is None or self.placement.shared:
            return self.at(cells).total
        return self.placement.host(cells).total

    def on_gpus(self, cells: int) -> tuple[int, ...]:
        """Bytes of each GPU's own memory with ``cells``."""
        if self.placement is None or self.placement.shared:
            return ()
        return tuple(device.total for device in self.placement.devices(cells))

    @property
    def estimate(self) -> MemoryEstimate:
        """With the cells that it starts with."""
        return self.at(self.layout.cells)

    @property
    def most(self) -> MemoryEstimate:
        """With all the cells that it may grow to."""
        return self.at(self.layout.max_cells)


def plan(header: GGUFHeader, name: str, settings: EngineSettings, *, shared: bool = False) -> Sizing:
    """The layout for a model that is about to be loaded. ``shared``: its weights are in memory already, for another engine.

    The context is as trained, or reduced to what fits (with a message), and so are the layers on GPUs. Raises
    :class:`InsufficientMemoryError`, with figures, where weights, KV cache and compute buffers together exceed the memory available.
    """
    gpus = usable_gpus(settings)
    available = available_memory() + (header.weights_bytes if shared and not gpus else 0)
    memory, sizing = _sized(header, settings, gpus, available)
    memory.check(name, sizing.layout)
    return sizing


def outlook(header: GGUFHeader, settings: EngineSettings) -> Sizing:
    """What :func:`plan` would be if this process had no other model loaded, whether it fits or not."""
    available = available_memory() + taken_in_process()
    return _sized(header, settings, without_ours(usable_gpus(settings)), available)[1]


def _sized(
    header: GGUFHeader, settings: EngineSettings, gpus: Sequence[Device], available: int
) -> tuple[HostMemory | DeviceMemory, Sizing]:
    messages: list[str] = []
    n_threads = settings.n_threads or usable_cores()
    # A split cache was 10 % faster for unrelated requests, but gave the first answer three times as late.
    unified = settings.unified_kv is None or settings.unified_kv
    memory, n_seq, first_wave = _memory(header, settings, gpus, available, n_threads, unified=unified)
    gpu = isinstance(memory, DeviceMemory)
    if isinstance(memory, DeviceMemory) and (message := memory.message()) is not None:
        messages.append(message)
    n_ctx = _context(header, settings, memory.max_cells, messages)
    max_cells = _max_cells(settings, n_ctx, n_seq, memory.max_cells, messages, unified=unified)
    placement = memory.settle(max_cells) if isinstance(memory, DeviceMemory) else None
    flash = memory.flash_attention(max_cells) if isinstance(memory, HostMemory) else settings.flash_attention
    cells = max_cells if memory.fixed else _first_cells(header, settings, n_ctx, max_cells, 1 if unified else n_seq)
    layout = Layout(
        n_ctx=n_ctx,
        cells=cells,
        max_cells=max_cells,
        n_seq=n_seq,
        first_wave=first_wave,
        unified=unified,
        n_batch=min(settings.n_batch, cells),
        n_ubatch=min(_micro_batch(settings, gpu=gpu), settings.n_batch, cells),
        n_threads=n_threads,
        n_threads_batch=settings.n_threads_batch or n_threads,
        n_threads_vary=settings.n_threads is None and settings.n_threads_batch is None and not gpu,
        flash_attention=flash,
        kv_type=settings.kv_type or ("bf16" if flash == "off" and not gpu and _prefers_bf16(header) else "f16"),
        gpu_split=() if placement is None else placement.split,
    )
    return memory, Sizing(
        layout,
        partial(memory.estimate, flash=flash) if isinstance(memory, HostMemory) else memory.estimate,
        tuple(messages),
        placement,
    )


def _memory(
    header: GGUFHeader,
    settings: EngineSettings,
    gpus: Sequence[Device],
    available: int,
    n_threads: int,
    *,
    unified: bool,
) -> tuple[HostMemory | DeviceMemory, int, int]:
    """Where it will be, with the number of sequences that suit that; on the GPU where it holds any layer."""
    if gpus:
        n_seq, first_wave = _sequences(header, settings, n_threads, unified=unified, gpu=True)
        memory = DeviceMemory(header, settings, n_seq, gpus, available, unified=unified)
        if memory.layers or settings.n_gpu_layers > 0:
            return memory, n_seq, first_wave
    n_seq, first_wave = _sequences(header, settings, n_threads, unified=unified, gpu=False)
    return HostMemory(header, settings, n_seq, available, unified=unified), n_seq, first_wave


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
        n_ctx = max(MIN_CTX, max_cells)
        messages.append(
            f"its context is {n_ctx} tokens here instead of the {trained} it was trained for, to fit in memory; "
            "engine.n_ctx sets another one."
        )
    return n_ctx


def _first_cells(header: GGUFHeader, settings: EngineSettings, n_ctx: int, max_cells: int, shares: int) -> int:
    """A modest start, from which the cells grow on demand; all at once where ``kv_tokens`` sets a number."""
    if settings.kv_tokens is not None and shares == 1:
        return max_cells
    # A model that embeds may still be asked to generate.
    share = max(_LEAST_FIRST_CELLS, min(n_ctx, 0 if header.is_embedding else _FIRST_CELLS))
    if (long_from := header.long_rope_from(n_ctx)) is not None:  # the set must not change in mid-sequence
        share = max(share, -(-long_from // CELL_MULTIPLE) * CELL_MULTIPLE)
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


def _sequences(
    header: GGUFHeader, settings: EngineSettings, n_threads: int, *, unified: bool, gpu: bool
) -> tuple[int, int]:
    """Concurrent sequences, the slot for interactive calls included, and how many of them until a first request finishes."""
    max_sequences = library(settings.library).build.max_sequences - 1
    if settings.n_seq_max or gpu:
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
    return _micro_batch(settings, gpu=on_gpu(settings))


def _micro_batch(settings: EngineSettings, *, gpu: bool) -> int:
    return (settings.n_ubatch or GPU_MICRO_BATCH) if gpu else micro_batch_on_cpu(settings)


def on_gpu(settings: EngineSettings) -> bool:
    """Whether there is a GPU that may be used."""
    return bool(usable_gpus(settings))


def usable_gpus(settings: EngineSettings) -> tuple[Device, ...]:
    """The GPUs that llama.cpp will divide layers among: integrated ones only where there are no others."""
    if settings.n_gpu_layers == 0 or not library(settings.library).llama_supports_gpu_offload():
        return ()
    found = devices.gpus()
    return tuple(gpu for gpu in found if gpu.kind == "gpu") or found[:1]


def room_on_gpus(settings: EngineSettings) -> int | None:
    """Bytes for a model that is to be on GPUs as a whole; None where there are none."""
    gpus = usable_gpus(settings)
    if not gpus:
        return None
    free = sum(max(0, gpu.free - GPU_RESERVE) for gpu in gpus)
    return min(free, available_memory()) if any(map(shares_memory, gpus)) else free
