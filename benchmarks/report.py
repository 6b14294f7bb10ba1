"""Figures as a table on the terminal and as a section of a page."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks.driving import WORKLOADS, Figures, Row
from benchmarks.peer import PEER_PYTHON

__all__ = ["heading", "save", "table"]

_TITLE = """# Benchmarks

Written by `python -m benchmarks --save`; each section is one run, in which the systems took turns. Times are medians; a ratio
says how many times ours is better. Peers run with all cores, their best settings and a compact grammar, in an environment
of their own. Validity is checked against the schema for every answer.
"""


def heading(name: str, model: str, against: str = "") -> str:
    """``against``: the one peer of a run that has no others."""
    return f"{name}, {model} model" + (f", {against}" if against else "")


def table(name: str, figures: Mapping[str, Figures]) -> str:
    """A Markdown table, narrow enough for a terminal, with what is known of ours below it."""
    ours = figures["ours"]
    rows = list(ours.values)
    cells = [["", *(row.name for row in rows), "valid"]]
    for label, theirs in figures.items():
        share = f"{theirs.valid}/{theirs.answers}" if theirs.answers else ""
        cells.append([label, *(_cell(row, ours, theirs) for row in rows), share])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    said = (WORKLOADS[name].drive.__doc__ or "").strip()
    text = f"{said}\n\n" + "\n".join(lines) + "\n"
    if ours.notes:
        told = [f"- {what} {statistics.median(values):,.4g}" for what, values in ours.notes.items()]
        text += "\nOf ours:\n\n" + "\n".join(told) + "\n"
    return text


def _cell(row: Row, ours: Figures, theirs: Figures) -> str:
    value = f"{theirs.median(row):.3g} {row.unit}"
    if theirs is ours:
        return value
    # Each repetition is a pair that met the same weather.
    pairs = zip(ours.values[row], theirs.values[row], strict=True)
    ratios = [mine / other if row.more_is_better else other / mine for mine, other in pairs]
    return f"{value} ({statistics.median(ratios):.2f}x)"


def save(path: Path, title: str, body: str, repetitions: int) -> None:
    """Puts the section into the page, in place of an earlier one of its name."""
    text = path.read_text("utf-8") if path.exists() else _TITLE
    head, *sections = text.split("\n## ")
    found = {section.partition("\n")[0]: section.partition("\n")[2].strip() for section in sections}
    found[title] = f"{_circumstances(repetitions)}\n\n{body.strip()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(
        head.strip() + "\n\n" + "\n\n".join(f"## {name}\n\n{found[name]}" for name in sorted(found)) + "\n", "utf-8"
    )
    part.replace(path)


def _circumstances(repetitions: int) -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    times = "once" if repetitions == 1 else f"{repetitions} times"
    return (
        f"{today}, commit {commit or 'unknown'}, {_processor()}, {len(os.sched_getaffinity(0))} cores, "
        f"llama-cpp-python {version('llama-cpp-python')}, xllamacpp {_xllamacpp()}; each system {times}."
    )


def _xllamacpp() -> str:
    """The peers' where they have an environment, else the one here: a run against ourselves needs no peers."""
    if not PEER_PYTHON.exists():
        return version("xllamacpp")
    code = "from importlib.metadata import version as v; print(v('xllamacpp'))"
    return subprocess.run([PEER_PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except FileNotFoundError:  # not Linux
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
