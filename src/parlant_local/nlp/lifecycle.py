"""Releasing backends that were never closed.

The host's factory call is synchronous and on the event loop, so nothing is loaded there: the first of its awaited
getters loads, in the backend's own thread. The host never closes an NLP service, so each backend is released when its
service is collected; the engines handle interpreter shutdown themselves.
"""

from __future__ import annotations

import weakref

from parlant_local.backends.base import Backend

__all__ = ["release_when_collected"]


def release_when_collected(owner: object, *backends: Backend) -> None:
    """Releases ``backends`` when ``owner`` is collected; closing them earlier is fine."""
    for backend in backends:
        finalizer = weakref.finalize(owner, backend.release)
        finalizer.atexit = False  # type: ignore[misc]  # a property that the stubs miss
