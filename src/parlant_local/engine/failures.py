"""Converts unexpected exceptions to the package's errors."""

from __future__ import annotations

from parlant_local.errors import EngineError, ParlantLocalError

__all__ = ["typed"]


def typed(error: BaseException) -> ParlantLocalError:
    """``error`` as an error of the package."""
    if isinstance(error, ParlantLocalError):
        return error
    if isinstance(error, MemoryError):
        return EngineError(
            "Out of memory while serving the request.", hint="Free memory, or send smaller or fewer requests."
        )
    return EngineError(f"The request failed in the engine: {error!r}.")
