"""A download's progress: live lines in a terminal, one for each file; plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from parlant_local.cli.printing import say
from parlant_local.observability import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from parlant_local.catalog import DownloadProgress
    from parlant_local.catalog.transfer import FileProgress

__all__ = ["Bars", "LiveProgress", "PlainProgress", "progress_reporter", "stopped"]

_PLAIN_SECONDS = 2.0


def progress_reporter(quiet: bool = False) -> LiveProgress | PlainProgress:
    """The reporter for standard error; standard output is for results."""
    return LiveProgress() if sys.stderr.isatty() and not quiet else PlainProgress(quiet)


def stopped(model: str, source: str | None = None) -> str:
    """What is left after Ctrl-C."""
    from parlant_local.catalog.references import PackageReference, parse_reference

    packed = isinstance(parse_reference(model, source), PackageReference)
    kept = "Nothing of it is kept; again" if packed else "The downloaded part is kept; to resume"
    return f"Stopped. {kept}: parlant-local pull {model}"


class Bars:
    """Shown while it is open."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class LiveProgress(Bars):
    """Bars with bytes, rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),  # file names are no markup
            BarColumn(bar_width=30),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[phase]}"),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, moment: DownloadProgress) -> None:
        for item in moment.files:
            if item.name not in self._tasks:
                self._tasks[item.name] = self._progress.add_task(
                    printable(item.name), total=item.total, phase="", start=False
                )
            task = self._tasks[item.name]
            if item.phase == "downloading" and not self._progress.tasks[task].started:
                # From here on, so that bytes of an earlier session don't count as speed.
                self._progress.update(task, completed=item.done)
                self._progress.start_task(task)
            phase = "" if item.phase == "downloading" else item.phase
            self._progress.update(task, total=item.total, completed=item.done, phase=phase)


class PlainProgress:
    """A line every two seconds, and one when a file is done."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._printed_at = 0.0
        self._done: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, moment: DownloadProgress) -> None:
        if self._quiet:
            return
        for item in moment.files:
            if item.phase == "done" and item.name not in self._done:
                self._done.add(item.name)
                say(_line(item, None, None), err=True)
        now = time.monotonic()
        if now - self._printed_at < _PLAIN_SECONDS:
            return
        for item in moment.files:
            if item.phase not in ("waiting", "done"):
                say(_line(item, moment.rate, moment.seconds_left), err=True)
                self._printed_at = now


def _line(item: FileProgress, rate: float | None, left: float | None) -> str:
    from parlant_local.catalog.disk import human_bytes

    share = f" {item.done / item.total:4.0%}" if item.total else ""
    of = f" of {human_bytes(item.total)}" if item.total else ""
    speed = f", {human_bytes(rate)}/s" if rate else ""
    remaining = f", {_clock(left)} left" if left is not None and item.phase == "downloading" else ""
    phase = "" if item.phase == "downloading" else f", {item.phase}"
    return f"{item.name}:{share} {human_bytes(item.done)}{of}{speed}{remaining}{phase}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
