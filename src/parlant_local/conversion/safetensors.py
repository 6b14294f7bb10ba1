"""Reads safetensors files: eight bytes with the header's length, the header as JSON, then the tensors' bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info.safetensors_header import Entry, safetensors_header

__all__ = ["SafeTensor", "open_safetensors", "read_safetensors"]

_TYPES: Mapping[str, str] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "u1",
}


@dataclass(frozen=True, slots=True)
class SafeTensor:
    """One tensor of floating-point numbers, which stays on disk."""

    dtype: str
    shape: tuple[int, ...]
    _raw: npt.NDArray[Any]

    def read(self) -> npt.NDArray[np.float32]:
        """A view of the file where it is float32 in it."""
        if self.dtype == "BF16":
            return (self._raw.astype(np.uint32) << 16).view(np.float32)
        return self._raw.astype(np.float32, copy=False)


def read_safetensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of floating-point numbers, by name. Raises :class:`InvalidModelError`."""
    return {name: tensor.read() for name, tensor in open_safetensors(path).items()}


def open_safetensors(path: Path) -> dict[str, SafeTensor]:
    """The same, none of them read yet."""
    try:
        length, entries = safetensors_header(path)
        data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length) if entries else np.empty(0, np.uint8)
        tensors = {name: _tensor(name, entry, data) for name, entry in entries.items()}
    except (ValueError, struct.error) as error:
        raise InvalidModelError(f"{path.name} is not a usable safetensors file: {error}.") from None
    except FileNotFoundError:
        raise InvalidModelError(f"There is no {path.name} to convert.") from None
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _tensor(name: str, entry: Entry, data: npt.NDArray[np.uint8]) -> SafeTensor | None:
    if entry.dtype not in _TYPES:
        raise ValueError(f"{name!r} has the unsupported type {entry.dtype!r}")
    dtype = np.dtype(_TYPES[entry.dtype])
    first, last = entry.data_offsets
    if last > data.size or last - first != math.prod(entry.shape) * dtype.itemsize:
        raise ValueError(f"{name!r} does not lie within the file")
    if dtype.kind == "i" or entry.dtype == "U8":
        return None  # positions, which GGUF has no need of
    return SafeTensor(entry.dtype, tuple(entry.shape), data[first:last].view(dtype).reshape(entry.shape))
