"""What a model gets of this machine: threads, context, KV cells and their layout, and whether it fits at all."""

from __future__ import annotations

from dataclasses import dataclass

from parlant_local.cores import usable_cores
from parlant_local.engine.layout import Layout
from parlant_local.engine.native import library, system_info
from parlant_local.errors import InsufficientMemoryError
from parlant_local.gguf_info import GGUFHeader, MemoryEstimate, available_memory, estimate_memory
from parlant_local.settings import EngineSettings
from parlant_local.settings.engine import FlashAttention

__all__ = ["Sizing", "micro_batch", "on_gpu", "plan"]

_MIB = 1024 * 1024
_KV_SHARE = 0.6  # of the memory that is left once the weights are in
_MIN_CTX = 512
_STEP = 256  # llama.cpp rounds cells up to this
_GPU_SEQUENCES = 16
_CPU_SEQUENCES = 8
_CPU_FIRST_WAVE = 2  # on two threads; of three the first answer came a quarter later
_GPU_MICRO_BATCH = 512
_CPU_MICRO_BATCH = 128  # 64 took 3-6 % longer for prompts; 256 as long, with twice the attention scores in memory
_EXACT = frozenset({"F32", "F16"})
_UNQUANTIZED = frozenset({"f32", "f16", "bf16"})
_SCORES_SHARE = 1 / 8  # of the memory available, that whole rows of attention scores may take
_POOL = 65_536  # cells of a unified cache that nobody asked to be larger


@dataclass(frozen=True, slots=True)
class Sizing:
    layout: Layout
    estimate: MemoryEstimate
    """Bytes: weights, KV cache, compute buffers."""
    messages: tuple[str, ...]
    """What was shrunk, and why."""


def plan(header: GGUFHeader, name: str, settings: EngineSettings) -> Sizing:
    """The layout for a model that is about to be loaded.

    The context is as trained, or shrunk to what fits (with a message). Raises :class:`InsufficientMemoryError`, with figures,
    where weights, KV cache and compute buffers together exceed the memory available.
    """
    gpu = on_gpu(settings)
    available = available_memory()
    trained = header.context_length or 4096
    n_ctx = settings.n_ctx or trained
    rows = header.position_rows
    messages: list[str] = []
    if rows is not None and n_ctx > rows:
        n_ctx = rows
        messages.append(f"its context is {rows} tokens: its positions are a table, which engine.n_ctx can't stretch.")
    cores = usable_cores()
    n_threads = settings.n_threads or cores
    # A split cache was 10 % faster for strangers here, and had its first answer three times as late.
    unified = settings.unified_kv is None or settings.unified_kv
    n_seq, first_wave = _sequences(header, settings, n_threads, unified=unified)
    n_ubatch = micro_batch(settings)

    def estimate(cells: int, flash: FlashAttention = "on") -> MemoryEstimate:
        return estimate_memory(
            header,
            cells,
            kv_type=settings.kv_type or "f16",  # as large as bf16
            n_seq=n_seq,
            n_ubatch=n_ubatch,
            flash_attention=flash != "off",
            swa_full=True,
        )

    per_token = max(1, (estimate(2 * _STEP).kv_cache - estimate(_STEP).kv_cache) // _STEP)
    grows = per_token > 1
    room = max(0, int((available - header.weights_bytes) * _KV_SHARE))
    fits = room // per_token // _STEP * _STEP if grows and not gpu else 1 << 30
    if not unified and grows and not gpu:
        fits = fits // n_seq // _STEP * _STEP  # every sequence gets the whole context
    if settings.n_ctx is None and n_ctx > fits:
        n_ctx = max(_MIN_CTX, fits)
        messages.append(
            f"its context is {n_ctx} tokens here instead of the {trained} it was trained for, to fit in memory; "
            "engine.n_ctx sets another one."
        )
    if unified:
        cells = max(n_ctx, settings.kv_tokens or min(max(2 * n_ctx, _POOL), int(fits)))
    else:
        cells = n_ctx * n_seq
        if settings.kv_tokens is not None:
            messages.append(
                f"engine.kv_tokens is not used: a split cache gives each of {n_seq} sequences {n_ctx} cells; "
                "set engine.n_ctx and engine.n_seq_max, or engine.unified_kv."
            )
    flash = settings.flash_attention
    if flash == "auto" and not gpu and settings.kv_type in (None, *_UNQUANTIZED):
        # Steps of 2 to 63 tokens take up to twice the time with it here, and large ones as long or a tenth less.
        without = estimate(cells, "off")
        if without.compute <= available * _SCORES_SHARE and without.total <= available:
            flash = "off"
    needed = estimate(cells, flash)
    if needed.total > available and not gpu:
        raise InsufficientMemoryError(
            f"{name} needs {needed.total // _MIB} MiB (weights {needed.weights // _MIB}, KV cache of {cells} tokens "
            f"{needed.kv_cache // _MIB}, compute buffers {needed.compute // _MIB}); {available // _MIB} MiB are available.",
            needed=needed.total,
            available=available,
            hint=_what_to_lower(fits, header, available, unified=unified),
        )
    layout = Layout(
        n_ctx=n_ctx,
        cells=cells,
        n_seq=n_seq,
        first_wave=first_wave,
        unified=unified,
        n_batch=min(settings.n_batch, cells),
        n_ubatch=min(n_ubatch, settings.n_batch, cells),
        n_threads=n_threads,
        n_threads_batch=settings.n_threads_batch or settings.n_threads or cores,
        n_threads_vary=settings.n_threads is None and settings.n_threads_batch is None and not gpu,
        flash_attention=flash,
        kv_type=settings.kv_type or ("bf16" if flash == "off" and not gpu and _rather_bf16(header) else "f16"),
    )
    return Sizing(layout, needed, tuple(messages))


def _sequences(header: GGUFHeader, settings: EngineSettings, n_threads: int, *, unified: bool) -> tuple[int, int]:
    """How many run at once, one place for interactive calls included, and how many of them until somebody has an answer."""
    most = int(library().llama_max_parallel_sequences()) - 1
    if settings.n_seq_max or on_gpu(settings):
        n_seq = min(settings.n_seq_max or _GPU_SEQUENCES, most)
        return n_seq, n_seq
    first_wave = max(_CPU_FIRST_WAVE, 2 * n_threads - 2) + 1
    costly = not unified or header.is_recurrent  # each further one takes a share of the cache, or a state of its own
    n_seq = first_wave if costly else max(first_wave, _CPU_SEQUENCES + 1)
    return min(n_seq, most), min(first_wave, most)


def _rather_bf16(header: GGUFHeader) -> bool:
    """Whether this processor multiplies bf16 natively, and the weights are coarser than it."""
    return (header.quantization or "F32") not in _EXACT and "AVX512_BF16 = 1" in system_info()


def micro_batch(settings: EngineSettings) -> int:
    """Tokens computed at once."""
    return settings.n_ubatch or (_GPU_MICRO_BATCH if on_gpu(settings) else _CPU_MICRO_BATCH)


def on_gpu(settings: EngineSettings) -> bool:
    """Whether layers go to a GPU: some are meant to, and the build knows one."""
    return settings.n_gpu_layers != 0 and bool(library().llama_supports_gpu_offload())


def _what_to_lower(fits: int, header: GGUFHeader, available: int, *, unified: bool) -> str:
    if header.weights_bytes > available:
        return "Take a smaller model or quantization: `parlant-local recommend` names some that fit."
    if not unified:
        return (
            f"Set engine.n_ctx to {max(_MIN_CTX, fits)} or less, engine.n_seq_max lower, or engine.unified_kv to true."
        )
    return f"Set engine.n_ctx and engine.kv_tokens to {max(_MIN_CTX, fits)} or less, or engine.kv_type to q8_0."
