"""The last resort: a process that has to end does, whatever its threads are at."""

from __future__ import annotations

import faulthandler
import os
from typing import IO

__all__ = ["end_by_force_after"]

_LONGEST = 1e6  # what the clock of faulthandler can count
_nowhere: IO[str] | None = None


def end_by_force_after(seconds: float) -> None:
    """Ends this process with exit code 1 unless it has ended before; a later call sets another time.

    By faulthandler's own thread, which needs no interpreter lock: native code that holds it can't delay the end. Nothing
    is half-written then that is not half-written at a power cut: files are made under other names and renamed.
    """
    global _nowhere
    if _nowhere is None:
        _nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115  # stays open: the thread writes there
    faulthandler.dump_traceback_later(min(seconds, _LONGEST), exit=True, file=_nowhere)
