"""Steps with a time limit each, as processes of their own, and one table of all of them, whatever became of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Done", "Step", "run_all", "table", "tell"]


@dataclass(frozen=True)
class Step:
    name: str
    command: Sequence[str]
    seconds: float
    needs: tuple[str, ...] = ()
    """Steps without which this one makes no sense."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    name: str
    outcome: str
    """``ok``, or in words why not."""
    seconds: float = 0.0
    rows: tuple[tuple[str, str], ...] = ()


def tell(what: str, value: object) -> None:
    """A line of the table, from within a step: it counts even if the step is cut off afterwards."""
    print(json.dumps({"what": what, "value": str(value)}), flush=True)


def run_all(steps: Iterable[Step], out: Path, seconds: float) -> list[Done]:
    """Runs them in their order until ``seconds`` are over; the table is written to ``out`` after each."""
    out.mkdir(parents=True, exist_ok=True)
    end, done = time.monotonic() + seconds, list[Done]()
    for step in steps:
        left = end - time.monotonic()
        failed = [other.name for other in done if other.name in step.needs and other.outcome != "ok"]
        if failed:
            done.append(Done(step.name, f"left out: {failed[0]} did not succeed"))
        elif left <= 1:
            done.append(Done(step.name, "left out: the time was over"))
        else:
            print(f"{step.name} …", file=sys.stderr, flush=True)
            done.append(_run(step, min(step.seconds, left), out / f"{step.name.replace(' ', '-')}.log"))
        part = out / "gpu-check.part"
        part.write_text(table(done), "utf-8")
        part.replace(out / "gpu-check.md")
    return done


def _run(step: Step, seconds: float, log: Path) -> Done:
    begun = time.monotonic()
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            step.command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **step.environment},
            start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=seconds)
            outcome = "ok" if process.returncode == 0 else f"failed: {_last_line(log)}"
        except subprocess.TimeoutExpired:
            _kill(process)
            said, _ = process.communicate()
            outcome = f"cut off after {seconds:.0f} s"
    return Done(step.name, outcome, time.monotonic() - begun, tuple(_rows(said)))


def _kill(process: subprocess.Popen[str]) -> None:
    """With all that it started: compilers and peers."""
    os.killpg(process.pid, signal.SIGKILL)


def _rows(said: str) -> Iterable[tuple[str, str]]:
    for line in said.splitlines():
        if line.startswith('{"what"'):
            row = json.loads(line)
            yield row["what"], row["value"]


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else "no message"


def table(done: Sequence[Done]) -> str:
    """Markdown: a step's outcome and time, and below it what it found."""
    cells = [("step", "outcome", "s")]
    for each in done:
        cells.append((each.name, each.outcome, f"{each.seconds:.0f}" if each.seconds else ""))
        cells += [(f"- {what}", value, "") for what, value in each.rows]
    escaped = [tuple(cell.replace("|", "\\|") for cell in line) for line in cells]
    widths = [max(len(line[column]) for line in escaped) for column in range(3)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in escaped
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"
