"""Control vectors: directions that are added to what each layer hands to the next one, from GGUF files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from parlant_local.errors import InvalidModelError, ModelLoadError
from parlant_local.gguf_info import GGUFHeader, read_header
from parlant_local.paths import user_path
from parlant_local.storage import open_regular

__all__ = ["combined"]

_LAYER = re.compile(r"direction\.(\d{1,4})")
Directions = npt.NDArray[np.float32]


def combined(vectors: Mapping[str, float], n_layer: int, n_embd: int) -> Directions:
    """The sum of ``vectors`` (file to strength), of shape ``(n_layer - 1, n_embd)``: from the second layer on, since the first takes none.

    Raises :class:`ModelLoadError` for a file that is no control vector, or one of another model.
    """
    total = np.zeros((n_layer - 1, n_embd), dtype=np.float32)
    for given, strength in vectors.items():
        try:
            for layer, direction in _directions(user_path(given), n_embd):
                if not 1 <= layer < n_layer:
                    raise InvalidModelError(f"It has a direction for layer {layer} of {n_layer}.")
                total[layer - 1] += np.float32(strength) * direction
        except InvalidModelError as error:
            raise ModelLoadError(
                f"The control vector {given} can't be used: {error.message}",
                hint=error.hint or "Check that it is a GGUF control vector made for this model.",
            ) from None
    return total


def _directions(path: Path, n_embd: int) -> list[tuple[int, Directions]]:
    header = read_header(path)
    if header.kind != "controlvector":
        raise InvalidModelError(f"{path} is not a control vector.")
    found = [(int(match[1]), _read(header, index)) for index, match in _named(header)]
    if not found:
        raise InvalidModelError("It has no directions.")
    for layer, direction in found:
        if direction.shape != (n_embd,):
            raise InvalidModelError(f"Its layer {layer} has {direction.size} values; the model has {n_embd}.")
        if not np.isfinite(direction).all():
            raise InvalidModelError(f"Its layer {layer} has values that are no numbers.")
    return found


def _named(header: GGUFHeader) -> list[tuple[int, re.Match[str]]]:
    matches = ((index, _LAYER.fullmatch(tensor.name)) for index, tensor in enumerate(header.tensors))
    return [(index, match) for index, match in matches if match is not None]


def _read(header: GGUFHeader, index: int) -> Directions:
    tensor = header.tensors[index]
    if tensor.type != "F32":
        raise InvalidModelError(f"{tensor.name} is of type {tensor.type}; llama.cpp takes F32 only.")
    with open_regular(header.path) as file:
        file.seek(header.header_bytes + tensor.offset)
        return np.frombuffer(file.read(tensor.nbytes), dtype="<f4").astype(np.float32)
