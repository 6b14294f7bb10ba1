"""Reads safetensors files: eight bytes with the header's length, the header as JSON, then the tensors' bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, TypeAdapter

from parlant_local.errors import InvalidModelError
from parlant_local.storage import parse_json, validated

__all__ = ["Entry", "read_safetensors", "read_safetensors_header"]

_MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_TYPES: Mapping[str, str] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "u1",
}

Count = Annotated[int, Field(ge=0, le=2**53)]


class Entry(BaseModel):
    """What the header tells of one tensor."""

    dtype: str
    shape: list[Count] = Field(max_length=8)
    """As numpy has it: rows first."""
    data_offsets: tuple[Count, Count]
    """From the end of the header."""


_HEADER = TypeAdapter(dict[str, Entry])


def read_safetensors_header(path: Path) -> dict[str, Entry]:
    """The tensors' descriptions, each within the file. Nothing else is read. Raises :class:`InvalidModelError`."""
    try:
        length, entries = _header(path)
        room = path.stat().st_size - 8 - length
        for name, entry in entries.items():
            first, last = entry.data_offsets
            if not first <= last <= room:
                raise ValueError(f"{name!r} does not lie within the file")
    except (ValueError, struct.error) as error:
        raise InvalidModelError(f"{path.name} is not a usable safetensors file: {error}.") from None
    return entries


def read_safetensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of floating-point numbers, by name, as views of the file where they are float32 in it.

    Raises :class:`InvalidModelError`.
    """
    try:
        length, entries = _header(path)
        data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length) if entries else np.empty(0, np.uint8)
        tensors = {name: _tensor(name, entry, data) for name, entry in entries.items()}
    except (ValueError, struct.error) as error:
        raise InvalidModelError(f"{path.name} is not a usable safetensors file: {error}.") from None
    except FileNotFoundError:
        raise InvalidModelError(f"There is no {path.name} to convert.") from None
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _header(path: Path) -> tuple[int, dict[str, Entry]]:
    """Its length, and the tensors' descriptions."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else _MAX_HEADER_BYTES + 1
        if length > _MAX_HEADER_BYTES:
            raise ValueError("its header has an impossible length")
        header = parse_json(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    header.pop("__metadata__", None)
    return length, validated(_HEADER, header)


def _tensor(name: str, entry: Entry, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
    if entry.dtype not in _TYPES:
        raise ValueError(f"{name!r} has the unsupported type {entry.dtype!r}")
    dtype = np.dtype(_TYPES[entry.dtype])
    first, last = entry.data_offsets
    if last > data.size or last - first != math.prod(entry.shape) * dtype.itemsize:
        raise ValueError(f"{name!r} does not lie within the file")
    if dtype.kind == "i" or entry.dtype == "U8":
        return None  # positions, which GGUF has no need of
    values = data[first:last].view(dtype).reshape(entry.shape)
    if entry.dtype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False)
