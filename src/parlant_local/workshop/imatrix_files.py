"""Importance matrices: for each weight matrix the sum of squares of what is multiplied with each of its columns.

llama.cpp's GGUF form (tools/imatrix): ``NAME.in_sum2``, ``NAME.counts``, and what they were computed from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from parlant_local.conversion import Tensor, write_gguf
from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info import read_file_header

__all__ = ["Imatrix", "Sums", "read_imatrix", "write_imatrix"]

Floats = npt.NDArray[np.float32]

_SUMS, _COUNTS = ".in_sum2", ".counts"


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one weight: a row for each of its matrices (experts), and how many vectors each has seen."""

    squares: Floats
    counts: Floats


@dataclass(frozen=True, slots=True)
class Imatrix:
    sums: Mapping[str, Sums]
    datasets: Sequence[str]
    chunks: int
    chunk_size: int

    def importance(self) -> dict[str, Floats]:
        """The mean square of each column, 1 where nothing was seen, as quantization takes it."""
        return {name: _means(each) for name, each in self.sums.items()}


def _means(sums: Sums) -> Floats:
    counts = sums.counts.reshape(-1, 1)
    means = np.where(counts > 0, sums.squares / np.maximum(counts, 1), 1)
    return means.astype(np.float32).reshape(-1)


def read_imatrix(path: Path) -> Imatrix:
    """Raises :class:`InvalidModelError` for anything else than a sound importance matrix."""
    header = read_file_header(path)
    if header.kind != "imatrix":
        raise InvalidModelError(f"{path.name} is not an importance matrix.", hint="`parlant-local imatrix` makes one.")
    tensors = {each.name: each for each in header.tensors}

    def values(name: str) -> Floats:
        if (info := tensors.get(name)) is None or info.type != "F32":
            raise InvalidModelError(f"{path.name} has no numbers under {name}.")
        data = np.fromfile(path, "<f4", info.elements, offset=header.header_bytes + info.offset)
        if not np.isfinite(data).all() or (data < 0).any():
            raise InvalidModelError(f"{path.name} has impossible numbers under {name}.")
        return data.astype(np.float32).reshape(-1, info.shape[0])

    found = {}
    for name in (each.removesuffix(_SUMS) for each in tensors if each.endswith(_SUMS)):
        squares, counts = values(name + _SUMS), values(name + _COUNTS)
        if squares.shape[0] != counts.size:
            raise InvalidModelError(f"{path.name} has {counts.size} counts for {squares.shape[0]} matrices of {name}.")
        found[name] = Sums(squares, counts.reshape(-1))
    if not found:
        raise InvalidModelError(f"{path.name} has no entries.")
    datasets = header.metadata.get("imatrix.datasets")
    return Imatrix(
        found,
        [str(each) for each in datasets] if isinstance(datasets, tuple) else [],
        header.integer("imatrix.chunk_count") or 0,
        header.integer("imatrix.chunk_size") or 0,
    )


def write_imatrix(path: Path, imatrix: Imatrix) -> None:
    tensors: dict[str, Tensor] = {}
    for name, sums in sorted(imatrix.sums.items()):
        tensors[name + _SUMS] = _tensor(sums.squares)
        tensors[name + _COUNTS] = _tensor(sums.counts.reshape(-1, 1))
    write_gguf(
        path,
        {
            "general.type": "imatrix",
            "imatrix.datasets": list(imatrix.datasets),
            "imatrix.chunk_count": imatrix.chunks,
            "imatrix.chunk_size": imatrix.chunk_size,
        },
        tensors,
    )


def _tensor(values: Floats) -> Tensor:
    return Tensor(values.shape, "F32", lambda: values.astype("<f4").tobytes())
