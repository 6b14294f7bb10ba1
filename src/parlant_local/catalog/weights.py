"""The forms of model files: GGUF, and safetensors of models that make pictures, which are never programs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parlant_local.gguf_info import read_file_header
from parlant_local.gguf_info.diffusion import PICTURE_PART, diffusion_architecture
from parlant_local.gguf_info.safetensors_header import read_safetensors_header

__all__ = ["PICKLED", "SafeTensors", "check_header", "is_safetensors", "is_weights", "read_safe_tensors"]

PICKLED = (".ckpt", ".pt", ".pth", ".pkl", ".bin")
"""Files whose reading may run a program."""


def is_safetensors(name: str) -> bool:
    return name.lower().endswith(".safetensors")


def is_weights(name: str) -> bool:
    return name.lower().endswith((".gguf", ".safetensors"))


def check_header(path: Path, name: str) -> None:
    """Raises :class:`InvalidModelError` where the file at ``path`` is not what its ``name`` says."""
    if is_safetensors(name):
        read_safetensors_header(path)
    else:
        read_file_header(path)


@dataclass(frozen=True, slots=True)
class SafeTensors:
    """What a header tells of a whole file."""

    architecture: str
    """``picture-part`` for what is only a part of a model: a VAE, a text encoder."""
    parameters: int
    type: str | None
    """That of most numbers."""
    shapes: Mapping[str, tuple[int, ...]]
    """A matrix's input width first."""
    loaded_bytes: int


def read_safe_tensors(path: Path) -> SafeTensors:
    entries = read_safetensors_header(path)
    shapes = {name: tuple(reversed(entry.shape)) for name, entry in entries.items()}
    counts: Counter[str] = Counter()
    for entry in entries.values():
        counts[entry.dtype] += math.prod(entry.shape)
    return SafeTensors(
        architecture=diffusion_architecture(shapes) or PICTURE_PART,
        parameters=sum(counts.values()),
        type=counts.most_common(1)[0][0] if counts else None,
        shapes=shapes,
        loaded_bytes=sum(count * _LOADED.get(dtype, 2) for dtype, count in counts.items()),
    )


# stable-diffusion.cpp holds numbers of eight bits as sixteen, and those of sixty-four as thirty-two.
_LOADED = {"F64": 4, "F32": 4, "I64": 4, "I32": 4}
