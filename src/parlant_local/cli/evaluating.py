"""What `evaluate` prints: progress, a report, and several side by side."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from parlant_local.cli.printing import say
from parlant_local.cli.progress import Bars
from parlant_local.observability import printable

if TYPE_CHECKING:
    from parlant_local.evaluation.records import CaseResult
    from parlant_local.evaluation.report import Report

__all__ = ["CaseProgress", "compare", "show"]

_PLAIN_SECONDS = 15.0


class CaseProgress(Bars):
    """A bar in a terminal, a line now and then elsewhere; both on standard error."""

    def __init__(self, model: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[right]} right"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._model = printable(model)
        self._task = self._progress.add_task(self._model, total=total, right=0)
        self._right = 0
        self._told = time.monotonic()

    def __call__(self, result: CaseResult, done: int, total: int) -> None:
        self._right += result.passed
        self._progress.update(self._task, completed=done, right=self._right)
        if self._progress.disable and (done == total or time.monotonic() - self._told > _PLAIN_SECONDS):
            self._told = time.monotonic()
            say(f"{self._model}: {done} of {total} cases", err=True)


def show(report: Report) -> None:
    from parlant_local.evaluation.rows import FamilyRows, account_rows, percent

    say(f"{report.title}: {report.verdict}")
    say(f"Score {percent(report.score)}, {report.cases.part} of {report.cases.whole} cases wholly right.")
    rows = FamilyRows.of(report)
    _table(rows.heads, rows.lines)
    for title, shares in (("language", report.languages), ("level", report.levels), ("trap", report.traps)):
        if shares:
            say(f"By {title}: " + ", ".join(f"{name} {percent(share.value)}" for name, share in shares.items()))
    _table(("", ""), account_rows(report))
    for line in report.advice:
        say(f"Would help: {line}")


def compare(reports: Sequence[Report]) -> None:
    """Several models, or one under several settings: a row each."""
    from parlant_local.evaluation.comparing import changes
    from parlant_local.evaluation.decisions import FAMILIES
    from parlant_local.evaluation.rows import percent

    names = [name for name in FAMILIES if any(name in report.families for report in reports)]
    told = changes(reports)
    heads = ["", "score", "decisions right", *names, *(["against the first"] if any(told) else [])]
    rows = []
    for report, change in zip(reports, told, strict=True):
        levels = (percent(report.families[name].level if name in report.families else None) for name in names)
        right = f"{report.decisions.part} of {report.decisions.whole}"
        rows.append([report.title, percent(report.score), right, *levels, *([change] if any(told) else [])])
    _table(heads, rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(Text(printable(head))) for head in heads), show_header=any(heads), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(table)
