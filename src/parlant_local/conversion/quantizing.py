"""Weights as GGUF stores them, bit by bit as llama.cpp quantizes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["WRITERS", "as_bf16", "as_f16", "as_f32", "as_q8_0"]

_BLOCK = 32


def as_f32(values: npt.NDArray[np.float32]) -> bytes:
    return values.astype("<f4").tobytes()


def as_f16(values: npt.NDArray[np.float32]) -> bytes:
    return values.astype("<f2").tobytes()


def as_bf16(values: npt.NDArray[np.float32]) -> bytes:
    """The upper half of each number, rounded to the nearest, ties to even."""
    bits = values.astype("<f4").view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    quiet = (bits >> 16) | 64  # what is not a number stays so
    return np.where(np.isnan(values), quiet, rounded).astype("<u2").tobytes()


def as_q8_0(values: npt.NDArray[np.float32]) -> bytes:
    """Blocks of 32: a scale in f16, then a byte each."""
    blocks = values.astype(np.float32).reshape(-1, _BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    scaled = blocks * inverse
    # Halves away from zero, as C's roundf; numpy's own rounding takes the even neighbour.
    steps = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8)
    packed = np.empty((len(blocks), 2 + _BLOCK), dtype=np.uint8)
    packed[:, :2] = scale.astype("<f2").view(np.uint8)
    packed[:, 2:] = steps.view(np.uint8)
    return packed.tobytes()


WRITERS: Mapping[str, Callable[[npt.NDArray[np.float32]], bytes]] = {
    "F32": as_f32,
    "F16": as_f16,
    "BF16": as_bf16,
    "Q8_0": as_q8_0,
}
"""By GGML's name of the type."""
