"""Decoded pictures and sounds, as a request carries them. Nothing here touches llama.cpp."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from parlant_local.errors import BadRequestError

__all__ = ["Image", "Media", "Sound"]


@dataclass(frozen=True, eq=False)
class Image:
    """``pixels``: RGB of shape ``(height, width, 3)``, eight bits each."""

    pixels: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8 or not self.pixels.size:
            raise BadRequestError(
                f"pixels must be (height, width, 3) of uint8, not {self.pixels.shape} of {self.pixels.dtype}"
            )

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @cached_property
    def digest(self) -> bytes:
        """Tells it from every other picture or sound."""
        return hashlib.sha256(b"image %d %d " % (self.width, self.height) + self.pixels.tobytes()).digest()


@dataclass(frozen=True, eq=False)
class Sound:
    """``samples``: one channel of 32-bit floats in -1 … 1, ``rate`` of them a second."""

    samples: npt.NDArray[np.float32]
    rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32 or not self.samples.size:
            raise BadRequestError(f"samples must be (n,) of float32, not {self.samples.shape} of {self.samples.dtype}")

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(b"sound %d " % self.rate + self.samples.tobytes()).digest()


Media = Image | Sound
