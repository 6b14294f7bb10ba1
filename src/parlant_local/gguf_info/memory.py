"""A model's memory estimate, and the memory there is. All figures in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parlant_local.gguf_info.header import GGUFHeader

__all__ = ["KV_TYPE_BYTES", "MemoryEstimate", "available_memory", "estimate_memory", "total_memory"]

KV_TYPE_BYTES: dict[str, float] = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
}

# Period of full-attention layers among sliding-window ones, for families whose files omit it.
_WINDOW_PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "gpt-oss": 2, "llama4": 4, "exaone4": 4}


# As measured with vocabularies of 32k to 262k tokens: llama.cpp's tables, and llguidance's with the first constraint.
_TOKEN_BYTES = 625
_MERGE_BYTES = 160


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    weights: int
    kv_cache: int
    """Keys and values of every cell, and the states of recurrent layers."""
    compute: int
    """Activations, attention scores, logits."""
    vocabulary: int = 0
    """Token tables: llama.cpp's, and the one that constraints are compiled against."""

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache + self.compute + self.vocabulary


def estimate_memory(
    header: GGUFHeader,
    n_ctx: int,
    *,
    kv_type: str = "f16",
    n_seq: int = 1,
    n_ubatch: int = 512,
    flash_attention: bool = True,
    swa_full: bool = False,
) -> MemoryEstimate:
    """Memory of a loaded model whose cache has ``n_ctx`` cells, all sequences together.

    ``n_seq``: concurrent sequences, each with its own recurrent state and window. ``swa_full``: full-size caches for
    sliding-window layers too, as prefix sharing needs.
    """
    return MemoryEstimate(
        weights=header.weights_bytes,
        kv_cache=_kv_bytes(header, n_ctx, kv_type, n_seq, min(n_ubatch, max(n_ctx, 1)), swa_full)
        + _state_bytes(header, n_seq),
        compute=compute_bytes(
            header, n_ctx, kv_type=kv_type, n_outputs=n_seq, n_ubatch=n_ubatch, flash_attention=flash_attention
        ),
        vocabulary=vocabulary_bytes(header),
    )


def compute_bytes(
    header: GGUFHeader, n_ctx: int, *, kv_type: str, n_outputs: int, n_ubatch: int, flash_attention: bool
) -> int:
    """Of a micro-batch of ``n_ubatch`` tokens that attends to ``n_ctx`` cells and gives ``n_outputs`` rows of logits."""
    n_ubatch = min(n_ubatch, max(n_ctx, 1))
    embedding = header.embedding_length or 0
    feed_forward = max(header.numbers(f"{header.architecture}.feed_forward_length") or (4 * embedding,))
    heads = max(header.head_count or (1,))
    logits = n_outputs * (header.vocabulary_size or 0) * 4
    # Scores in f32, and once more in the type of the values that they weigh.
    scores = 0 if flash_attention else int(n_ubatch * n_ctx * heads * (4 + min(KV_TYPE_BYTES[kv_type], 2)))
    activations = n_ubatch * (6 * embedding + 3 * feed_forward) * 4
    mask = n_ubatch * n_ctx * (2 if flash_attention else 4)
    return max(logits, scores) + logits + activations + mask  # logits also have a buffer of their own


def vocabulary_bytes(header: GGUFHeader) -> int:
    tokens, merges = header.vocabulary_size or 0, header.count("tokenizer.ggml.merges") or 0
    return tokens * _TOKEN_BYTES + merges * _MERGE_BYTES


def _kv_bytes(header: GGUFHeader, n_ctx: int, kv_type: str, n_seq: int, n_ubatch: int, swa_full: bool) -> int:
    layers = header.block_count or 0
    heads = max(header.head_count or (1,)) or 1
    width = (header.embedding_length or 0) // heads
    key = header.of_architecture("attention.key_length") or width
    value = header.of_architecture("attention.value_length") or width
    window = header.sliding_window
    cells_in_window = min(n_ctx, n_seq * window + n_ubatch) if window and not swa_full else n_ctx
    total = 0.0
    for layer, count in enumerate(_per_layer(header.head_count_kv or (heads,), layers)):
        cells = cells_in_window if window and _is_windowed(header, layer) else n_ctx
        total += cells * count * (key + value) * KV_TYPE_BYTES[kv_type]
    return int(total)


def _is_windowed(header: GGUFHeader, layer: int) -> bool:
    pattern = header.numbers(f"{header.architecture}.attention.sliding_window_pattern")
    if pattern and len(pattern) > 1:
        return bool(pattern[layer % len(pattern)])
    every = pattern[0] if pattern else _WINDOW_PATTERNS.get(header.architecture, 0)
    # Without a known pattern llama.cpp ignores the window (or every layer has it): count full caches, to be safe.
    return every > 1 and layer % every != every - 1


def _state_bytes(header: GGUFHeader, n_seq: int) -> int:
    """States of recurrent layers (f32): convolution and SSM of mamba, token shift and wkv of rwkv."""
    if not header.is_recurrent:
        return 0
    layers = header.block_count or 0
    embedding = header.embedding_length or 0
    if head := header.of_architecture("wkv.head_size"):
        shift = header.of_architecture("token_shift_count") or 2
        return layers * n_seq * (shift * embedding + embedding * head) * 4
    inner = header.of_architecture("ssm.inner_size") or 0
    state = header.of_architecture("ssm.state_size") or 0
    groups = header.of_architecture("ssm.group_count") or 0
    kernel = header.of_architecture("ssm.conv_kernel") or header.of_architecture("shortconv.l_cache") or 1
    convolution = (kernel - 1) * ((inner or embedding) + 2 * groups * state)
    with_cache = header.head_count_kv or (0,)
    recurrent = sum(1 for count in _per_layer(with_cache, layers) if not count) if len(with_cache) > 1 else layers
    return recurrent * n_seq * (convolution + inner * state) * 4


def _per_layer(counts: Sequence[int], layers: int) -> Sequence[int]:
    return [counts[0]] * layers if len(counts) == 1 else counts[:layers]


def total_memory() -> int:
    """Total memory for this process: the machine's, or its cgroup's limit where that is lower."""
    import psutil

    limits = [int(psutil.virtual_memory().total), *(limit for limit, _ in _cgroup_limits())]
    return min(limits)


def available_memory() -> int:
    """Memory that can be allocated now without swapping, within cgroup limits."""
    import psutil

    free = [int(psutil.virtual_memory().available), *(max(limit - used, 0) for limit, used in _cgroup_limits())]
    return min(free)


def _cgroup_limits(
    root: Path = Path("/sys/fs/cgroup"), self_cgroup: Path = Path("/proc/self/cgroup")
) -> list[tuple[int, int]]:
    """(limit, used) of this process's cgroup and its ancestors; reclaimable page cache doesn't count as used."""
    try:
        lines = self_cgroup.read_text().splitlines()
    except OSError:
        return []  # not Linux
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit_name, used_name, cache_key = root, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit_name, used_name = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache_key = "total_inactive_file"
        else:
            continue
        # Inside a container the path may be the host's; then the mounted root applies.
        folder = base / path.lstrip("/")
        folder = folder if folder.is_dir() else base
        while True:
            if (pair := _limit_of(folder, limit_name, used_name, cache_key)) is not None:
                found.append(pair)
            if folder == base:
                break
            folder = folder.parent
    return found


def _limit_of(folder: Path, limit_name: str, used_name: str, cache_key: str) -> tuple[int, int] | None:
    try:
        limit, used = (folder / limit_name).read_text().strip(), int((folder / used_name).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None  # the root group has no limit files
    if limit == "max" or int(limit) >= 1 << 60:
        return None
    return int(limit), max(used - int(statistics.get(cache_key, 0)), 0)
