"""How far a job is, and how it is ended from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from parlant_local.errors import JobCancelledError

__all__ = ["Control", "Moment"]


@dataclass(frozen=True, slots=True)
class Moment:
    """``done`` of ``total`` units of what ``doing`` says; a ``total`` of 0 is not known."""

    doing: str
    done: int
    total: int


class Control:
    """Shared by the thread that works and who waits for it. ``progress`` is called on the working thread."""

    def __init__(self, progress: Callable[[Moment], None] | None = None) -> None:
        self._progress = progress
        self._cancelled = threading.Event()

    @property
    def stop(self) -> threading.Event:
        """Set once it was cancelled, for what waits."""
        return self._cancelled

    def cancel(self) -> None:
        """Ends the job at its next step; it leaves nothing behind."""
        self._cancelled.set()

    def check(self) -> None:
        """Raises :class:`JobCancelledError` once it was cancelled."""
        if self._cancelled.is_set():
            raise JobCancelledError("The job was cancelled; nothing of it was kept.")

    def step(self, doing: str, done: int, total: int) -> None:
        """Tells how far it is; raises as :meth:`check` does."""
        self.check()
        if self._progress is not None:
            self._progress(Moment(doing, done, total))
