"""Headers of well-known models with the shapes and tensor types of their published files, without the files."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from parlant_local.gguf_info import Elided, GGUFHeader, TensorInfo

__all__ = ["MODELS", "PUBLISHED", "Shape", "real_header"]

# Bytes and elements of a block.
_BLOCKS = {"F32": (4, 1), "Q4_K": (144, 256), "Q5_K": (176, 256), "Q6_K": (210, 256), "Q8_0": (34, 32)}


@dataclass(frozen=True)
class Shape:
    architecture: str
    layers: int
    width: int
    heads: int
    head: int
    feed_forward: int
    vocabulary: int
    merges: int
    context: int
    tied: bool = False
    kv_heads: int = 8


_LLAMA3: dict[str, Any] = {"vocabulary": 128_256, "merges": 280_147, "context": 131_072}
_QWEN25: dict[str, Any] = {"vocabulary": 152_064, "merges": 151_387, "context": 32_768}
MODELS = {
    "Llama-3.2-1B": Shape("llama", 16, 2048, 32, 64, 8192, tied=True, **_LLAMA3),
    "Llama-3.2-3B": Shape("llama", 28, 3072, 24, 128, 8192, tied=True, **_LLAMA3),
    "Llama-3.1-8B": Shape("llama", 32, 4096, 32, 128, 14_336, **_LLAMA3),
    "Qwen2.5-14B": Shape("qwen2", 48, 5120, 40, 128, 13_824, **_QWEN25),
    "Qwen2.5-32B": Shape("qwen2", 64, 5120, 40, 128, 27_648, **_QWEN25),
    "Llama-3.1-70B": Shape("llama", 80, 8192, 64, 128, 28_672, **_LLAMA3),
}
PUBLISHED = {
    ("Llama-3.2-1B", "Q4_K_M"): 807_694_464,
    ("Llama-3.2-3B", "Q4_K_M"): 2_019_377_696,
    ("Llama-3.1-8B", "Q4_K_M"): 4_920_739_232,
    ("Qwen2.5-14B", "Q4_K_M"): 8_988_110_976,
    ("Qwen2.5-32B", "Q4_K_M"): 19_851_336_256,
    ("Llama-3.1-70B", "Q4_K_M"): 42_520_395_584,
    ("Llama-3.2-1B", "Q8_0"): 1_321_083_008,
    ("Llama-3.2-3B", "Q8_0"): 3_421_899_296,
    ("Llama-3.1-8B", "Q8_0"): 8_540_775_872,
    ("Qwen2.5-14B", "Q8_0"): 15_701_598_336,
    ("Qwen2.5-32B", "Q8_0"): 34_820_885_632,
    ("Llama-3.1-70B", "Q8_0"): 74_975_062_208,
}
"""Sizes of the files on the hub, in bytes."""


def real_header(name: str, quantization: str) -> GGUFHeader:
    shape = MODELS[name]
    key = shape.architecture
    metadata: dict[str, Any] = {
        "general.architecture": key,
        "general.file_type": {"Q4_K_M": 15, "Q8_0": 7}[quantization],
        f"{key}.block_count": shape.layers,
        f"{key}.embedding_length": shape.width,
        f"{key}.feed_forward_length": shape.feed_forward,
        f"{key}.attention.head_count": shape.heads,
        f"{key}.attention.head_count_kv": shape.kv_heads,
        f"{key}.attention.key_length": shape.head,
        f"{key}.attention.value_length": shape.head,
        f"{key}.context_length": shape.context,
        "tokenizer.ggml.tokens": Elided("str", shape.vocabulary),
        "tokenizer.ggml.merges": Elided("str", shape.merges),
    }
    tensors = tuple(_tensors(shape, quantization == "Q8_0"))
    size = sum(tensor.nbytes for tensor in tensors)
    return GGUFHeader(Path(f"{name}-{quantization}.gguf"), 3, metadata, tensors, size, 0, size)


def _tensors(shape: Shape, plain: bool) -> list[TensorInfo]:
    width, kv = shape.width, shape.kv_heads * shape.head

    def tensor(name: str, kind: str, *dimensions: int) -> TensorInfo:
        size, elements = _BLOCKS["Q8_0" if plain and kind != "F32" else kind]
        return TensorInfo(name, dimensions, kind, 0, prod(dimensions) * size // elements)

    found = [
        tensor("token_embd.weight", "Q6_K" if shape.tied else "Q4_K", width, shape.vocabulary),
        tensor("output_norm.weight", "F32", width),
    ]
    if not shape.tied:
        found.append(tensor("output.weight", "Q6_K", width, shape.vocabulary))
    for layer in range(shape.layers):
        better = _has_more_bits(layer, shape.layers)
        value = "Q6_K" if better else "Q5_K" if shape.layers == 80 else "Q4_K"
        name = f"blk.{layer}."
        found += [
            tensor(name + "attn_norm.weight", "F32", width),
            tensor(name + "ffn_norm.weight", "F32", width),
            tensor(name + "attn_q.weight", "Q4_K", width, shape.heads * shape.head),
            tensor(name + "attn_k.weight", "Q4_K", width, kv),
            tensor(name + "attn_v.weight", value, width, kv),
            tensor(name + "attn_output.weight", "Q4_K", shape.heads * shape.head, width),
            tensor(name + "ffn_gate.weight", "Q4_K", width, shape.feed_forward),
            tensor(name + "ffn_up.weight", "Q4_K", width, shape.feed_forward),
            tensor(name + "ffn_down.weight", "Q6_K" if better else "Q4_K", shape.feed_forward, width),
        ]
    return found


def _has_more_bits(layer: int, layers: int) -> bool:
    """llama.cpp's rule for the layers of a Q4_K_M file that get Q6_K (use_more_bits)."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
