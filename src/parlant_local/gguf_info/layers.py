"""A model's bytes layer by layer, since each layer is on a device of its own choice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from parlant_local.gguf_info.header import GGUFHeader

__all__ = ["KV_TYPE_BYTES", "LayerWeights", "kv_cells", "kv_per_cell", "state_bytes"]

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
_BLOCK = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """From the tensors of the file."""

    blocks: tuple[int, ...]
    output: int
    """The output layer: a copy of the embedding table, where the file has only that."""
    copied: int
    """What of it is such a copy, besides the table on the CPU."""
    other: int
    """Embedding tables, which stay on the CPU."""

    @classmethod
    def of(cls, header: GGUFHeader) -> LayerWeights:
        blocks = [0] * (header.block_count or 0)
        output = other = table = 0
        tied = True
        for tensor in header.tensors:
            block = _BLOCK.match(tensor.name)
            if block and int(block[1]) < len(blocks):
                blocks[int(block[1])] += tensor.nbytes
            elif tensor.name.startswith(("output", "cls")):
                output += tensor.nbytes
                tied = tied and tensor.name != "output.weight"
            else:
                other += tensor.nbytes
                table += tensor.nbytes if tensor.name == "token_embd.weight" else 0
        copied = table if tied and not header.is_encoder else 0
        return cls(tuple(blocks), output + copied, copied, other)


def kv_per_cell(header: GGUFHeader, kv_type: str) -> list[float]:
    """Bytes of keys and values for one token, of each layer."""
    if header.is_encoder:
        return [0.0] * (header.block_count or 0)
    heads = max(header.head_count or (1,)) or 1
    width = (header.embedding_length or 0) // heads
    key = header.of_architecture("attention.key_length") or width
    value = header.of_architecture("attention.value_length") or width
    return [
        count * (key + value) * KV_TYPE_BYTES[kv_type]
        for count in _per_layer(header.head_count_kv or (heads,), header.block_count or 0)
    ]


def kv_cells(header: GGUFHeader, layer: int, n_ctx: int, n_seq: int, n_ubatch: int, swa_full: bool) -> int:
    """Cells of one layer's cache: its window only, where it has one."""
    window = header.sliding_window
    if not window or swa_full or not _is_windowed(header, layer):
        return n_ctx
    return min(n_ctx, n_seq * window + n_ubatch)


def _is_windowed(header: GGUFHeader, layer: int) -> bool:
    pattern = header.numbers(f"{header.architecture}.attention.sliding_window_pattern")
    if pattern and len(pattern) > 1:
        return bool(pattern[layer % len(pattern)])
    every = pattern[0] if pattern else _WINDOW_PATTERNS.get(header.architecture, 0)
    # Without a known pattern llama.cpp ignores the window (or every layer has it): count full caches, to be safe.
    return every > 1 and layer % every != every - 1


def state_bytes(header: GGUFHeader, n_seq: int) -> list[int]:
    """States of recurrent layers (f32), of each layer: convolution and SSM of mamba, token shift and wkv of rwkv."""
    layers = header.block_count or 0
    if not header.is_recurrent:
        return [0] * layers
    embedding = header.embedding_length or 0
    if head := header.of_architecture("wkv.head_size"):
        shift = header.of_architecture("token_shift_count") or 2
        return [n_seq * (shift * embedding + embedding * head) * 4] * layers
    inner = header.of_architecture("ssm.inner_size") or 0
    state = header.of_architecture("ssm.state_size") or 0
    groups = header.of_architecture("ssm.group_count") or 0
    kernel = header.of_architecture("ssm.conv_kernel") or header.of_architecture("shortconv.l_cache") or 1
    convolution = (kernel - 1) * ((inner or embedding) + 2 * groups * state)
    size = n_seq * (convolution + inner * state) * 4
    with_cache = header.head_count_kv or (0,)
    if len(with_cache) == 1:
        return [size] * layers
    return [0 if count else size for count in _per_layer(with_cache, layers)]


def _per_layer(counts: Sequence[int], layers: int) -> Sequence[int]:
    """One number is for all layers; a list that is too short goes on with its last one."""
    return [*counts[:layers], *([counts[-1]] * (layers - len(counts)))]
