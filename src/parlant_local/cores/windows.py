"""Cores as Windows describes them: each with its efficiency class, of which the highest is the fastest."""

from __future__ import annotations

import ctypes
import struct
import sys
from collections import Counter

__all__ = ["cores_by_class", "fast_cores"]

_CORES = 0  # RelationProcessorCore
_HEAD = struct.Struct("<IIBB")  # relationship, size of the record, flags, efficiency class


def fast_cores() -> int | None:
    """Physical cores of the highest efficiency class; None where the system doesn't tell."""
    counted = cores_by_class(_processor_information())
    return counted[max(counted)] if counted else None


def cores_by_class(records: bytes) -> Counter[int]:
    """How many cores each class has, by SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX records."""
    found: Counter[int] = Counter()
    at = 0
    while at + _HEAD.size <= len(records):
        relationship, size, _, efficiency = _HEAD.unpack_from(records, at)
        if size < _HEAD.size:
            break
        if relationship == _CORES:
            found[efficiency] += 1
        at += size
    return found


def _processor_information() -> bytes:
    if sys.platform == "win32":
        ask = ctypes.WinDLL("kernel32").GetLogicalProcessorInformationEx
        size = ctypes.c_ulong(0)
        ask(_CORES, None, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        return buffer.raw[: size.value] if ask(_CORES, buffer, ctypes.byref(size)) else b""
    else:
        return b""
