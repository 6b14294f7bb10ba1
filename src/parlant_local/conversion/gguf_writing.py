"""Writes GGUF, version 3: metadata, the tensors' descriptions, then their bytes, each at a multiple of 32."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info.types import TENSOR_TYPES, VALUE_ARRAY, VALUE_STRING

__all__ = ["Tensor", "Value", "write_gguf"]

Value = str | bool | int | float | Sequence[str] | Sequence[int] | Sequence[float]
"""An ``int`` is written as uint32, a ``float`` as float32; in a sequence, which is of one kind, an ``int`` as int32."""

_ALIGNMENT = 32
_UINT32, _INT32, _FLOAT32, _BOOL = 4, 5, 6, 7
_CODES = {name: code for code, (name, _, _) in TENSOR_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Tensor:
    shape: tuple[int, ...]
    """As numpy has it: rows first."""
    type: str
    """GGML's name of it: F32, F16, Q8_0 …"""
    data: Callable[[], bytes]
    """Called once, when it is written: a model's tensors need not be in memory together."""

    @property
    def size(self) -> int:
        _, elements, size = TENSOR_TYPES[_CODES[self.type]]
        count = 1
        for length in self.shape:
            count *= length
        return count // elements * size


def write_gguf(path: Path, metadata: Mapping[str, Value], tensors: Mapping[str, Tensor]) -> None:
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
        for key, value in metadata.items():
            file.write(_text(key) + _value(value))
        offset = 0
        for name, tensor in tensors.items():
            dimensions = tensor.shape[::-1]
            file.write(_text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions))
            file.write(struct.pack("<IQ", _CODES[tensor.type], offset))
            offset += _padded(tensor.size)
        _pad(file)
        for name, tensor in tensors.items():
            data = tensor.data()
            if len(data) != tensor.size:
                raise InvalidModelError(f"The tensor {name} has {len(data):,} bytes instead of {tensor.size:,}.")
            file.write(data)
            _pad(file)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", VALUE_STRING) + _text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if value and isinstance(value[0], str):
        packed = b"".join(_text(str(item)) for item in value)
        return struct.pack("<IIQ", VALUE_ARRAY, VALUE_STRING, len(value)) + packed
    if value and isinstance(value[0], float):
        return struct.pack(f"<IIQ{len(value)}f", VALUE_ARRAY, _FLOAT32, len(value), *value)
    return struct.pack(f"<IIQ{len(value)}i", VALUE_ARRAY, _INT32, len(value), *value)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _pad(file: BinaryIO) -> None:
    file.write(bytes(_padded(file.tell()) - file.tell()))
