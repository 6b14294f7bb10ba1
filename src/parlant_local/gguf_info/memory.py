"""A model's memory estimate, and the memory there is. All figures in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parlant_local import cgroups
from parlant_local.gguf_info.header import GGUFHeader
from parlant_local.gguf_info.layers import KV_TYPE_BYTES, kv_cells, kv_per_cell, state_bytes

__all__ = ["KV_TYPE_BYTES", "MemoryEstimate", "available_memory", "estimate_memory", "total_memory"]

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
        kv_cache=_cache_bytes(header, n_ctx, kv_type, n_seq, min(n_ubatch, max(n_ctx, 1)), swa_full),
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


def device_compute_bytes(
    header: GGUFHeader, n_ctx: int, *, n_outputs: int, n_ubatch: int, flash_attention: bool, copies: int
) -> int:
    """The same on a GPU, where all that the largest graph could use is allocated, and nothing is used twice but by turns."""
    embedding = header.embedding_length or 0
    feed_forward = max(header.numbers(f"{header.architecture}.feed_forward_length") or (4 * embedding,))
    logits = n_outputs * (header.vocabulary_size or 0) * 4
    scores = 0 if flash_attention else n_ubatch * n_ctx * max(header.head_count or (1,)) * 4
    mask = n_ubatch * n_ctx * (2 if flash_attention else 4) * copies
    return max(logits, scores, n_ubatch * (6 * embedding + 3 * feed_forward) * 4) + mask


def vocabulary_bytes(header: GGUFHeader) -> int:
    tokens, merges = header.vocabulary_size or 0, header.count("tokenizer.ggml.merges") or 0
    return tokens * _TOKEN_BYTES + merges * _MERGE_BYTES


def _cache_bytes(header: GGUFHeader, n_ctx: int, kv_type: str, n_seq: int, n_ubatch: int, swa_full: bool) -> int:
    cells = (
        size * kv_cells(header, layer, n_ctx, n_seq, n_ubatch, swa_full)
        for layer, size in enumerate(kv_per_cell(header, kv_type))
    )
    return int(sum(cells)) + sum(state_bytes(header, n_seq))


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


# The limit's file, what is used, and the part of it that can be reclaimed.
_MEMORY_FILES = {
    "v1": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    "v2": ("memory.max", "memory.current", "inactive_file"),
}


def _cgroup_limits(root: Path = cgroups.ROOT, self_cgroup: Path = cgroups.PROC) -> list[tuple[int, int]]:
    """(limit, used) of this process's cgroup and its ancestors; reclaimable page cache doesn't count as used."""
    found = []
    for version, folder in cgroups.folders("memory", root, self_cgroup):
        names = _MEMORY_FILES[version]
        if (pair := _limit_of(folder, *names)) is not None:
            found.append(pair)
    return found


def _limit_of(folder: Path, limit_name: str, used_name: str, cache_key: str) -> tuple[int, int] | None:
    try:
        limit, used = (folder / limit_name).read_text("ascii").strip(), int((folder / used_name).read_text("ascii"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
    except (OSError, ValueError):
        return None  # the root group has no limit files
    if limit == "max" or int(limit) >= 1 << 60:
        return None
    return int(limit), max(used - int(statistics.get(cache_key, 0)), 0)
