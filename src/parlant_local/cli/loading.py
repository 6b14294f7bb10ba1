"""A sign of life while a model loads."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parlant_local.backends import Backend

__all__ = ["loaded"]

_QUIET_SECONDS = 0.3
_TICK_SECONDS = 0.1


async def loaded(backend: Backend) -> None:
    """Loads the model of ``backend``; in a terminal a bar on standard error shows how far it is, once that takes a moment."""
    load = asyncio.ensure_future(backend.load())
    try:
        await asyncio.wait([load], timeout=_QUIET_SECONDS if sys.stderr.isatty() else None)
        if not load.done():
            await _show(load, backend)
    except asyncio.CancelledError:
        load.cancel()
        await asyncio.wait([load])
        raise
    await load


async def _show(load: asyncio.Future[None], backend: Backend) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from parlant_local.observability import printable

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Loading {printable(backend.model_info().name)}", total=None)
        while not load.done():
            if share := backend.load_progress:
                progress.update(task, total=1.0, completed=share)
            await asyncio.wait([load], timeout=_TICK_SECONDS)
