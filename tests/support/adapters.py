"""LoRA adapters for models that tests make, and the same built into the weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter

__all__ = ["make_adapter", "merged"]

_RANK, _ALPHA = 4, 8.0
_TARGETS = ("blk.0.attn_q.weight", "blk.1.ffn_down.weight")


def make_adapter(path: Path, base: Path, seed: int, *, architecture: str = "llama") -> dict[str, Any]:
    """Writes a LoRA adapter for ``base``; what it adds to each weight at scale 1."""
    random = np.random.default_rng(seed)
    shapes = {tensor.name: tensor.data.shape for tensor in GGUFReader(str(base)).tensors}
    writer = GGUFWriter(str(path), architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", _ALPHA)
    adds = {}
    for name in _TARGETS:
        rows, columns = shapes[name]
        a = random.normal(0, 0.3, (_RANK, columns)).astype(np.float32)
        b = random.normal(0, 0.3, (rows, _RANK)).astype(np.float32)
        writer.add_tensor(f"{name}.lora_a", a, raw_dtype=GGMLQuantizationType.F32)
        writer.add_tensor(f"{name}.lora_b", b, raw_dtype=GGMLQuantizationType.F32)
        adds[name] = (_ALPHA / _RANK) * (b @ a)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return adds


def merged(path: Path, base: Path, *adds: tuple[dict[str, Any], float]) -> Path:
    """A copy of ``base`` whose weights have the adapters built in."""
    shutil.copy(base, path)
    for tensor in GGUFReader(str(path), "r+").tensors:  # a view of the file
        for add, scale in adds:
            if tensor.name in add:
                np.add(tensor.data, np.float32(scale) * add[tensor.name], out=tensor.data)
    return path
