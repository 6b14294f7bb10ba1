"""What a process must not take over from the one that forked it: locks that threads held, and helper processes."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Shared", "in_forked_child"]

T = TypeVar("T")
Reset = TypeVar("Reset", bound=Callable[[], None])


def in_forked_child(reset: Reset) -> Reset:
    """Has every process that this one forks begin with ``reset``."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
    return reset


class Shared(Generic[T]):
    """Gives the one of this process: made when it is first asked for, closed at exit. A forked process makes its own."""

    def __init__(
        self, make: Callable[[], T], close: Callable[[T], None], forget: Callable[[T], None] = lambda _: None
    ) -> None:
        """``forget``: lets go, in a forked process, of what the parent made."""
        self._make, self._close, self._forget = make, close, forget
        self._made: T | None = None
        self._lock = threading.Lock()
        in_forked_child(self._after_fork)

    def __call__(self) -> T:
        with self._lock:
            if self._made is None:
                self._made = self._make()
                atexit.register(self._at_exit)
            return self._made

    def _at_exit(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            self._close(made)

    def _after_fork(self) -> None:
        made, self._made, self._lock = self._made, None, threading.Lock()
        if made is not None:
            self._forget(made)
