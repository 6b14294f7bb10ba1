"""What was measured, and the same on paper: service times come from the one, and the other is checked against it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.routing.replicas import Budget, Rates, Store
from benchmarks.routing.routers import ROUTERS
from benchmarks.routing.simulation import Scenario, replay, simulate
from benchmarks.routing.turn import calls_of

__all__ = [
    "EVIDENCE",
    "PHASES",
    "RAY",
    "SMALL",
    "Phase",
    "compared",
    "compared_with_ray",
    "fitted",
    "phases",
    "ray_runs",
]

EVIDENCE = Path(__file__).parents[2] / "docs/evidence"
RAY = EVIDENCE / "ray.json"
"""Replicas measured: ``[{"router", "replicas", "sessions", "turns", "at_once", "hit_rate", "seconds"}]``."""

SMALL = Budget(memory=73_000, disk=290_000)
"""The defaults, 1 and 4 GiB, for the benchmark's small model: 14.3 kB of state for each token."""

PHASES = {
    "turn 1": [("a", 0)],
    "turns 2-3": [("a", 1), ("a", 2)],
    "next conversation": [("b", 0)],
    "after a restart": [("c", 0)],
}
"""Workload T of the benchmarks, as conversations and turns."""


@dataclass(frozen=True)
class Phase:
    name: str
    seconds: float
    prompt: float
    reused: float
    """As a share."""

    @property
    def computed(self) -> float:
        return self.prompt * (1 - self.reused)


def phases(page: str) -> list[Phase]:
    """T on the small model, as bench.md has it."""
    section = page.split("## T, small model\n")[1].split("\n## ")[0]
    ours = next(line for line in section.splitlines() if line.startswith("| ours"))
    seconds = [float(cell.split()[0]) for cell in ours.split("|")[2 : 2 + len(PHASES)]]

    def note(name: str, what: str) -> float:
        found = re.search(rf"^- {re.escape(name)}: {re.escape(what)} (\S+)$", section, re.MULTILINE)
        if found is None:
            raise ValueError(f"bench.md does not say {what!r} of {name!r}.")
        return float(found[1].replace(",", ""))

    return [
        Phase(name, took, note(name, "prompt tokens"), note(name, "of them reused, %") / 100)
        for name, took in zip(PHASES, seconds, strict=True)
    ]


def fitted(measured: list[Phase]) -> Rates:
    """Least squares for seconds = computed tokens * x + characters answered * y."""
    characters = {name: answered(turns) for name, turns in PHASES.items()}
    rows = [(phase.computed, characters[phase.name], phase.seconds) for phase in measured]
    xx, xy, yy = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    xs, ys = (sum(row[i] * row[2] for row in rows) for i in (0, 1))
    determinant = xx * yy - xy * xy
    return Rates(token=(xs * yy - ys * xy) / determinant, character=(ys * xx - xs * xy) / determinant)


def compared(measured: list[Phase], rates: Rates) -> list[tuple[Phase, Phase]]:
    """One process: measured, and replayed on paper."""
    store, found = Store(SMALL), []
    for phase in measured:
        if phase.name == "after a restart":
            store.restart()
        seconds, prompt, reused = replay(store, rates, PHASES[phase.name])
        found.append((phase, Phase(phase.name, seconds, prompt, reused / prompt)))
    return found


def compared_with_ray(measured: list[dict[str, Any]], rates: Rates) -> list[list[str]]:
    """Replicas: measured, and simulated with as many of each. Times as a share of the first line's, whatever machine it was."""
    rows: list[list[str]] = []
    first: tuple[float, float] | None = None
    for run in measured:
        scenario = Scenario(
            rates, SMALL, run["replicas"], run["sessions"], run["turns"], agents=1, think=0.0, at_once=run["at_once"]
        )
        simulated = simulate(scenario, ROUTERS[run["router"]](1))
        first = first or (run["seconds"], simulated.seconds)
        rows.append(
            [
                run["router"],
                str(run["replicas"]),
                f"{run['hit_rate']:.1%}",
                f"{simulated.hit_rate:.1%}",
                f"{run['seconds'] / first[0]:.2f}",
                f"{simulated.seconds / first[1]:.2f}",
            ]
        )
    return rows


def ray_runs(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
    return found


def answered(turns: list[tuple[str, int]]) -> int:
    """Characters of all their answers."""
    return sum(asked.answer for session, turn in turns for stage in calls_of(0, session, turn) for asked in stage)
