"""Shared by the workshop's verbs: their options, the sign of life of a job, and what is said of its product."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import click

from parlant_local.cli.catalogue import catalogue_options, make_manager
from parlant_local.cli.printing import emit_json, say
from parlant_local.errors import BadRequestError
from parlant_local.stop_signals import as_interrupts

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel, LocalModelManager
    from parlant_local.workshop import Control, Moment

__all__ = ["byte_count", "job_options", "product_options", "run_job", "show_product", "workshop_manager"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_PLAIN_SECONDS = 2.0
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = ("", "k", "m", "g", "t")

_QUIET = click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
_PRODUCT = (
    click.option("--name", help="Name in the catalogue. Default: the model's, and what was done."),
    click.option("--output", metavar="FILE", help="File to write. Default: one in the models folder."),
)


def job_options(command: F) -> F:
    """Those of the catalogue, and --quiet."""
    return _QUIET(catalogue_options(command))


def product_options(command: F) -> F:
    """:func:`job_options`, and where a model goes that is made."""
    command = job_options(command)
    for option in reversed(_PRODUCT):
        command = option(command)
    return command


def byte_count(text: str) -> int:
    """``2GB``, ``500MiB``, ``1000``."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise BadRequestError(f"{text!r} is not a size.", hint="Such as 2GB, 500MB or 1GiB.")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS.index(match[2].lower()))


def workshop_manager(catalogue: dict[str, Any]) -> LocalModelManager:
    """The catalogue, read; its options are popped."""
    manager = make_manager(**{name: catalogue.pop(name) for name in ("models_dir", "offline", "config")})
    asyncio.run(manager.initialize())
    return manager


def run_job(work: Callable[[Control], T], *, quiet: bool) -> T:
    """Does ``work`` and shows how far it is on standard error. Ctrl-C ends it, as a signal to stop does; the job removes what it
    has begun."""
    from parlant_local.workshop import Control

    with ExitStack() as stack:
        stack.enter_context(as_interrupts())
        if quiet:
            return work(Control())
        return work(Control(_live(stack) if sys.stderr.isatty() else _plain()))


def _live(stack: ExitStack) -> Callable[[Moment], None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from parlant_local.observability import printable

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), TaskProgressColumn())
    shown = stack.enter_context(Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True))
    tasks: dict[str, Any] = {}

    def report(moment: Moment) -> None:
        if moment.doing not in tasks:
            tasks[moment.doing] = shown.add_task(printable(moment.doing), total=moment.total or None)
        shown.update(tasks[moment.doing], completed=moment.done, total=moment.total or None)

    return report


def _plain() -> Callable[[Moment], None]:
    printed = time.monotonic()

    def report(moment: Moment) -> None:
        nonlocal printed
        if (now := time.monotonic()) - printed >= _PLAIN_SECONDS:
            printed = now
            far = f"{moment.done / moment.total:.0%}" if moment.total else f"{moment.done:,}"
            say(f"{moment.doing}: {far}", err=True)

    return report


def show_product(record: LocalModel, *, as_json: bool) -> None:
    from parlant_local.catalog.disk import human_bytes

    if as_json:
        emit_json(record.told())
        return
    files = f" and {len(record.files) - 1} more" if len(record.files) > 1 else ""
    say(f"{record.id} is available: {record.path}{files} ({human_bytes(record.size)})")
