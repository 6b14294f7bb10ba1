"""The last resort of a shutdown: the process exits, whatever its threads do."""

from __future__ import annotations

import faulthandler
import os
from typing import IO

__all__ = ["exit_after"]

_MAX_SECONDS = 1e6  # the maximum that faulthandler accepts
_devnull: IO[str] | None = None


def exit_after(seconds: float) -> None:
    """Exits this process with code 1 after ``seconds``; a later call replaces the timeout.

    By faulthandler's own thread, which needs no GIL: native code that holds it can't delay the exit. Files are written
    atomically, so that none is left half-written.
    """
    global _devnull
    if _devnull is None:
        _devnull = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # stays open for faulthandler's thread
    faulthandler.dump_traceback_later(min(seconds, _MAX_SECONDS), exit=True, file=_devnull)
