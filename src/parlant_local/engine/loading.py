"""The wish to go on with a load, which its thread asks for and others may take back."""

from __future__ import annotations

from parlant_local.errors import EngineClosedError

__all__ = ["ABANDONED_SECONDS", "LoadControl"]

ABANDONED_SECONDS = 3.0
"""A load that nobody waits for goes on so long, for those who time out and ask again."""


class LoadControl:
    """Shared by the thread that loads ``name`` and those who wait for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.given_up = False
        self.progress = 0.0
        """Share of the tensors that are loaded."""

    def give_up(self) -> None:
        self.given_up = True

    def goes_on(self, progress: float) -> bool:
        """Called by llama.cpp after each tensor; False ends the load."""
        self.progress = progress
        return not self.given_up

    def check(self) -> None:
        if self.given_up:
            raise EngineClosedError(f"Loading {self._name} was given up.", hint="Ask again to load it.")
