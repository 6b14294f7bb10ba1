"""Backends whose owner is gone without closing them: connections are closed, a loaded model may stay for a while."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from typing import Protocol, runtime_checkable

from parlant_local.backends.base import Backend
from parlant_local.errors import ParlantLocalError

__all__ = ["LetsGo", "let_go"]


@runtime_checkable
class LetsGo(Protocol):
    """A backend that needs no event loop for it."""

    def let_go(self) -> None: ...


def let_go(backend: Backend) -> None:
    """From any thread, also where an event loop runs in it. Nothing is raised: nobody is there to hear it."""
    if isinstance(backend, LetsGo):
        backend.let_go()
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        _close(backend)
        return
    if not sys.is_finalizing():
        threading.Thread(target=_close, args=[backend], name="parlant-local-close", daemon=True).start()


def _close(backend: Backend) -> None:
    with contextlib.suppress(ParlantLocalError, RuntimeError):
        # RuntimeError: the loop that its connections belong to is gone, and they with it.
        asyncio.run(_closed(backend))


async def _closed(backend: Backend) -> None:
    await backend.close()
