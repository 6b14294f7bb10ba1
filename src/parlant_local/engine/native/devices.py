"""What ggml can compute on: the processor, and accelerators with memory of their own or a share of it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Literal

from parlant_local.engine.native.llama import library

__all__ = ["Device", "devices", "gpus"]

Kind = Literal["cpu", "gpu", "igpu", "accel"]
_KINDS: tuple[Kind, ...] = ("cpu", "gpu", "igpu", "accel")  # enum ggml_backend_dev_type


@dataclass(frozen=True, slots=True)
class Device:
    """A device, as ggml's registry lists it."""

    name: str
    description: str
    kind: Kind
    """``igpu``: an integrated GPU, which computes in the machine's own memory."""
    free: int
    """Bytes. Of Metal: its recommended working set, less what this process has allocated."""
    total: int
    """Bytes."""


def devices() -> tuple[Device, ...]:
    """All devices, in ggml's order. Asks the drivers each time: memory comes and goes."""
    lib = library()
    return tuple(_device(lib.ggml_backend_dev_get(index)) for index in range(lib.ggml_backend_dev_count()))


def gpus() -> tuple[Device, ...]:
    """The devices that layers can be offloaded to."""
    return tuple(device for device in devices() if device.kind in ("gpu", "igpu"))


def _device(pointer: int) -> Device:
    lib = library()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    lib.ggml_backend_dev_memory(pointer, ctypes.byref(free), ctypes.byref(total))
    kind = int(lib.ggml_backend_dev_type(pointer))
    return Device(
        name=lib.ggml_backend_dev_name(pointer).decode("utf-8", "replace"),
        description=lib.ggml_backend_dev_description(pointer).decode("utf-8", "replace"),
        kind=_KINDS[kind] if 0 <= kind < len(_KINDS) else "accel",
        free=free.value,
        total=total.value,
    )
