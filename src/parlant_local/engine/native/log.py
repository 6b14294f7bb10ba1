"""llama.cpp's own log: quiet by default, its last warnings kept as the reason when something fails."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from parlant_local.engine.native.structs import LogCallback

__all__ = ["CALLBACK", "forget", "listen", "recent_log", "set_verbose"]

_WARN, _ERROR = 3, 4  # GGML_LOG_LEVEL_*
_verbose = False
_listener: Callable[[str], None] | None = None


class _Recent(threading.local):
    """It logs on the calling thread, and engines load and decode concurrently: so the lines are kept per thread."""

    def __init__(self) -> None:
        self.lines: list[str] = []


_recent = _Recent()


def set_verbose(verbose: bool) -> None:
    """Whether llama.cpp's own log reaches standard error (process-wide)."""
    global _verbose
    _verbose = verbose


def listen(listener: Callable[[str], None] | None) -> None:
    """Has ``listener`` called with every piece of the log, which tells of a long call's progress (process-wide)."""
    global _listener
    _listener = listener


def recent_log() -> str:
    """The last warnings and errors that llama.cpp logged on this thread, on one line."""
    return "; ".join(line for line in _recent.lines[-4:] if line)


def forget() -> None:
    """Drops this thread's lines."""
    _recent.lines.clear()


def _on_log(level: int, text: bytes, _data: Any) -> None:
    line = text.decode("utf-8", "replace")
    if level in (_WARN, _ERROR):
        # The line may quote the untrusted file: no control characters may reach a terminal through an error.
        _recent.lines.append("".join(letter if letter.isprintable() else "\ufffd" for letter in line.strip()))
        del _recent.lines[:-20]
    if _listener is not None:
        _listener(line)
    if _verbose:
        os.write(2, text)


CALLBACK = LogCallback(_on_log)
"""llama.cpp keeps the pointer: this reference must live as long as the process."""
