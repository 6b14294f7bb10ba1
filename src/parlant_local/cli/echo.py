"""Whether a terminal shows what is typed: not while an answer is written, into which it would be mixed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["echoing"]


@contextlib.contextmanager
def echoing(on: bool) -> Iterator[None]:
    """Sets it for standard input, and sets it back. What is typed meanwhile is kept for whoever reads next."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    import termios

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    changed = list(before)
    changed[3] = before[3] | termios.ECHO if on else before[3] & ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
