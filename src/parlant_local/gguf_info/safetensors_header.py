"""The headers of safetensors files: eight bytes with its length, then JSON. Nothing is trusted."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

from parlant_local.errors import InvalidModelError
from parlant_local.storage import parse_json, validated

__all__ = ["Entry", "read_safetensors_header", "safetensors_header"]

_MAX_HEADER_BYTES = 100_000_000  # the format's own limit

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
        length, entries = safetensors_header(path)
        room = path.stat().st_size - 8 - length
        for name, entry in entries.items():
            first, last = entry.data_offsets
            if not first <= last <= room:
                raise ValueError(f"{name!r} does not lie within the file")
    except (ValueError, struct.error) as error:
        raise InvalidModelError(f"{path.name} is not a usable safetensors file: {error}.") from None
    return entries


def safetensors_header(path: Path) -> tuple[int, dict[str, Entry]]:
    """Its length, and the tensors' descriptions. Raises :class:`ValueError` and :class:`struct.error`."""
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
