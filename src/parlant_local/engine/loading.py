"""Cancelling a load that runs on another thread."""

from __future__ import annotations

from parlant_local.errors import EngineClosedError

__all__ = ["ABANDONED_SECONDS", "LoadControl"]

ABANDONED_SECONDS = 3.0
"""How long a load without waiters goes on, for callers that time out and retry."""


class LoadControl:
    """Shared by the thread that loads ``name`` and its waiters."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.cancelled = False
        self.progress = 0.0
        """Share of the tensors that are loaded."""

    def cancel(self) -> None:
        self.cancelled = True

    def on_progress(self, progress: float) -> bool:
        """llama.cpp's progress callback, called after each tensor; False ends the load."""
        self.progress = progress
        return not self.cancelled

    def check(self) -> None:
        if self.cancelled:
            raise EngineClosedError(f"Loading {self._name} was cancelled.", hint="Send the request again to load it.")
