"""How far pictures are: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from parlant_local.cli.printing import counted, say
from parlant_local.observability import printable

if TYPE_CHECKING:
    from parlant_local.images import ImageProgress, OnProgress

__all__ = ["drawing"]

_PLAIN_SECONDS = 10.0


@contextmanager
def drawing(model: str, *, quiet: bool) -> Iterator[OnProgress | None]:
    """What a backend tells its progress to."""
    if sys.stderr.isatty():
        with _bar(model) as progress:
            yield progress
    else:
        yield None if quiet else _Lines()


@contextmanager
def _bar(model: str) -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Asking {printable(model)}", total=None)

        def show(moment: ImageProgress) -> None:
            progress.update(task, description=_words(moment), total=moment.steps or None, completed=moment.step)

        yield show


class _Lines:
    """Where something changes, and every ten seconds."""

    def __init__(self) -> None:
        self._said, self._at = "", 0.0

    def __call__(self, moment: ImageProgress) -> None:
        words = _words(moment)
        if words == self._said and (not moment.steps or time.monotonic() - self._at < _PLAIN_SECONDS):
            return
        self._said, self._at = words, time.monotonic()
        say(f"{words}, step {moment.step} of {moment.steps}" if moment.step else words, err=True)


def _words(moment: ImageProgress) -> str:
    if moment.queued:
        return f"Waiting: {counted(moment.queued, 'picture')} before it"
    return "Drawing" if moment.count == 1 else f"Drawing {moment.picture} of {moment.count}"
