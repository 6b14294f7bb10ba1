"""Writes GGUF files from pieces of others, streamed: no tensor is ever whole in memory, and none changes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from parlant_local.errors import CatalogError, InvalidModelError
from parlant_local.gguf_info import TensorInfo
from parlant_local.gguf_info.types import TENSOR_TYPES
from parlant_local.workshop.control import Control

__all__ = ["Made", "Meter", "Piece", "Source", "Weight", "write_file"]

_CHUNK = 1 << 20
_CODES = {name: code for code, (name, _, _) in TENSOR_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes of a file."""

    path: Path
    start: int
    size: int


Piece = Source | bytes


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor, and where its bytes are."""

    info: TensorInfo
    source: Source


@dataclass(frozen=True, slots=True)
class Made:
    """A tensor whose bytes are made when it is its turn."""

    info: TensorInfo
    pieces: Callable[[], Iterable[bytes]]


class Meter:
    """Counts the bytes of a job over all its files."""

    def __init__(self, control: Control, doing: str, total: int) -> None:
        self._control, self._doing, self._total = control, doing, total
        self._done = 0

    def add(self, count: int) -> None:
        self._done += count
        self._control.step(self._doing, self._done, self._total)


def write_file(
    target: Path,
    entries: Sequence[Piece],
    weights: Sequence[Weight | Made],
    *,
    version: int,
    alignment: int,
    meter: Meter | None,
) -> None:
    """One GGUF with these metadata entries and tensors, in this order. Raises :class:`CatalogError`."""
    try:
        with target.open("wb") as file, _Readers() as readers:
            file.write(b"GGUF" + struct.pack("<IQQ", version, len(weights), len(entries)))
            for entry in entries:
                readers.copy(entry, file)
            offset = 0
            for weight in weights:
                file.write(_description(weight.info, offset))
                offset += weight.info.nbytes + -weight.info.nbytes % alignment
            _pad(file, alignment)
            for weight in weights:
                if isinstance(weight, Weight):
                    readers.copy(weight.source, file, meter)
                else:
                    _write_pieces(weight, file)
                _pad(file, alignment)
    except OSError as error:
        raise CatalogError(f"{target.name} can't be written: {error.strerror or error}.") from None


class _Readers:
    """Each source is opened once."""

    def __init__(self) -> None:
        self._open: dict[Path, BinaryIO] = {}

    def __enter__(self) -> _Readers:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            file.close()

    def copy(self, piece: Piece, file: BinaryIO, meter: Meter | None = None) -> None:
        if isinstance(piece, bytes):
            file.write(piece)
            return
        if piece.path not in self._open:
            self._open[piece.path] = piece.path.open("rb", buffering=0)
        source, left = self._open[piece.path], piece.size
        source.seek(piece.start)
        while left:
            chunk = source.read(min(left, _CHUNK))
            if not chunk:
                raise InvalidModelError(f"{piece.path} was truncated while it was copied.")
            file.write(chunk)
            left -= len(chunk)
            if meter is not None:
                meter.add(len(chunk))


def _write_pieces(weight: Made, file: BinaryIO) -> None:
    begin = file.tell()
    for piece in weight.pieces():
        file.write(piece)
    if (size := file.tell() - begin) != weight.info.nbytes:
        raise InvalidModelError(f"The tensor {weight.info.name} has {size:,} bytes instead of {weight.info.nbytes:,}.")


def _description(info: TensorInfo, offset: int) -> bytes:
    name, dimensions = info.name.encode(), info.shape
    head = struct.pack("<Q", len(name)) + name
    shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return head + shape + struct.pack("<IQ", _CODES[info.type], offset)


def _pad(file: BinaryIO, alignment: int) -> None:
    file.write(bytes(-file.tell() % alignment))
