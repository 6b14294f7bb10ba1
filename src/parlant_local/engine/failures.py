"""What went wrong inside, as errors of the tree."""

from __future__ import annotations

from parlant_local.errors import EngineError, ParlantLocalError

__all__ = ["typed"]


def typed(error: BaseException) -> ParlantLocalError:
    """``error`` as one of the tree."""
    if isinstance(error, ParlantLocalError):
        return error
    if isinstance(error, MemoryError):
        return EngineError(
            "There was no memory left for the request.", hint="Close something, or ask for less at once."
        )
    return EngineError(f"The request failed in the engine: {error!r}.")
