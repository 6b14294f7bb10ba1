"""Giving freed memory back to the system."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["give_back"]


def give_back() -> None:
    """After a model was freed: glibc would keep buffers of up to 32 MiB in its heap. Elsewhere there is nothing to do."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
