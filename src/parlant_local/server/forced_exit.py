"""The last resort of a shutdown: the process exits, whatever its threads do."""

from __future__ import annotations

import faulthandler
import os

__all__ = ["exit_after"]

_MAX_SECONDS = 1e6  # the maximum that faulthandler accepts
_devnull: int | None = None


def exit_after(seconds: float) -> None:
    """Exits this process with code 1 after ``seconds``; a later call replaces the timeout.

    By faulthandler's own thread, which needs no GIL: native code that holds it can't delay the exit. Files are written
    atomically, so that none is left half-written.
    """
    global _devnull
    if _devnull is None:
        _devnull = os.open(
            os.devnull, os.O_WRONLY
        )  # for as long as the process lives: faulthandler's thread writes to it
    faulthandler.dump_traceback_later(min(seconds, _MAX_SECONDS), exit=True, file=_devnull)
