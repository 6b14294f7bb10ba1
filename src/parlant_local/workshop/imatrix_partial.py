"""An importance matrix that is not done: sums so far, beside where it will be, so that the same job goes on from them."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from parlant_local.storage import whole_file

__all__ = ["Partial", "digest_of_tokens", "load_partial", "partial_file", "save_partial"]

Doubles = npt.NDArray[np.float64]
_SQUARES, _COUNTS = "squares/", "counts/"


@dataclass(frozen=True, slots=True)
class Partial:
    """In double precision, so that what was interrupted ends with the same bytes."""

    chunks: int
    squares: Mapping[str, Doubles]
    counts: Mapping[str, Doubles]


def partial_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def digest_of_tokens(tokens: Sequence[int]) -> str:
    return hashlib.sha256(array("i", tokens).tobytes()).hexdigest()


def save_partial(path: Path, key: str, read: str, partial: Partial) -> None:
    """``key``: of the model and how it reads; ``read``: :func:`digest_of_tokens` of what it has read."""
    told: dict[str, Any] = {"key": np.array([key, read]), "chunks": np.array(partial.chunks)}
    told |= {_SQUARES + name: values for name, values in partial.squares.items()}
    told |= {_COUNTS + name: values for name, values in partial.counts.items()}
    with whole_file(path) as file:
        np.savez(file, **told)


def load_partial(path: Path, key: str, tokens: Sequence[int], chunk_size: int) -> Partial | None:
    """What another run of the same job has left; None for anything else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            chunks = int(stored["chunks"])
            read = digest_of_tokens(tokens[: chunks * chunk_size])
            if [str(each) for each in stored["key"]] != [key, read] or not 0 < chunks * chunk_size <= len(tokens):
                return None
            names = [each.removeprefix(_SQUARES) for each in stored.files if each.startswith(_SQUARES)]
            squares = {name: np.asarray(stored[_SQUARES + name], np.float64) for name in names}
            counts = {name: np.asarray(stored[_COUNTS + name], np.float64) for name in names}
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile):  # no such file, or something else
        return None
    whole = all(np.isfinite(each).all() for each in (*squares.values(), *counts.values()))
    return Partial(chunks, squares, counts) if whole else None
