"""Getting a backend ready, and giving its memory back when nobody asked for that.

The host's factory call is synchronous and on the event loop, so nothing is loaded there: the first of its awaited
getters loads, in the backend's own thread. The host never closes an NLP service, so each backend is let go when its
service is collected; the engines themselves see to the interpreter's end.
"""

from __future__ import annotations

import weakref

from parlant_local.backends.base import Backend

__all__ = ["let_go_with"]


def let_go_with(owner: object, *backends: Backend) -> None:
    """Let ``backends`` go when ``owner`` is collected; closing them earlier is fine."""
    for backend in backends:
        finalizer = weakref.finalize(owner, backend.let_go)
        finalizer.atexit = False  # type: ignore[misc]  # a property that the stubs miss
