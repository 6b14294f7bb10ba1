"""Cores of Macs: performance level 0 is the fast one; Intel's have no levels."""

from __future__ import annotations

import ctypes

__all__ = ["fast_cores"]


def fast_cores() -> int | None:
    """Physical performance cores; None where there is one kind only."""
    return sysctl(b"hw.perflevel0.physicalcpu")


def sysctl(name: bytes) -> int | None:
    value, size = ctypes.c_int(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    status = ctypes.CDLL(None).sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
    return value.value if status == 0 and value.value > 0 else None
