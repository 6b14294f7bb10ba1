"""Ends a computation from another thread."""

from __future__ import annotations

import ctypes
import sys

from parlant_local.engine.native.structs import AbortCallback

__all__ = ["AbortFlag"]


class AbortFlag:
    """A flag that native code polls without taking the GIL.

    llama.cpp calls an abort callback hundreds of times a step; a Python one would wait for the GIL each time. ``strlen``
    over a two-byte buffer is such a callback already: it gives 0 for an empty string and 1 for a raised flag.
    """

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(b"\0\0", 2)
        self.callback = AbortCallback(_strlen_address())
        self.data = ctypes.cast(self._buffer, ctypes.c_void_p)

    def set(self) -> None:
        self._buffer[0] = b"\1"

    def clear(self) -> None:
        self._buffer[0] = b"\0"

    @property
    def is_set(self) -> bool:
        return bool(self._buffer[0] != b"\0")


def _strlen_address() -> int:
    # The process's own C library; Windows has no handle for "everything that is loaded".
    library = ctypes.CDLL("msvcrt") if sys.platform == "win32" else ctypes.CDLL(None)
    address = ctypes.cast(library.strlen, ctypes.c_void_p).value
    assert address is not None
    return address
