"""What was measured, and the same on paper: service times come from the one, and the other is checked against it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.routing.replicas import Budget, Rates, Store
from benchmarks.routing.routers import Affinity, Router, TwoChoices, by_schema
from benchmarks.routing.simulation import Outcome, Scenario, replay, simulate
from benchmarks.routing.turn import calls_at_once, calls_of

__all__ = [
    "EVIDENCE",
    "PHASES",
    "RAY",
    "SMALL",
    "Phase",
    "answered",
    "compared",
    "fitted",
    "phases",
    "ray_runs",
    "simulated",
]

EVIDENCE = Path(__file__).parents[2] / "docs/evidence"
RAY = EVIDENCE / "ray.md"
"""Replicas measured: forty conversations replayed (``tests/ray/test_ray_evidence.py``)."""

SMALL = Budget(memory=73_000, disk=290_000)
"""The defaults, 1 and 4 GiB, for the benchmark's small model: 14.3 kB of state for each token."""
TINY = Budget(memory=320_000, disk=0)
"""1 GiB for the shipped model (3 KiB for each token, 3.5 characters long), as replicas were measured: without a disk."""

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


@dataclass(frozen=True)
class RayRun:
    replicas: int
    router: str
    """Ours, or Ray's own."""
    reused: float


def ray_runs(path: Path) -> list[RayRun]:
    """The rows of the page's table; none where it was not measured yet."""
    text = path.read_text("utf-8") if path.exists() else ""
    rows = re.findall(r"^\| (\d+) \| (ours|Ray's) \| ([\d.]+) % \|", text, re.MULTILINE)
    return [RayRun(int(replicas), router, float(share) / 100) for replicas, router, share in rows]


def simulated(run: RayRun, rates: Rates) -> Outcome:
    """What was measured, on paper: forty conversations of one agent, six at once, each turn the first call of five schemas."""
    scenario = Scenario(
        rates, TINY, run.replicas, sessions=40, turns=3, agents=1, think=0.0, at_once=6, calls=calls_at_once
    )
    make: dict[str, Callable[[int], Router]] = {
        "ours": lambda seed: Affinity(seed, head=4.0, history=1.0, key=by_schema),
        "Ray's": TwoChoices,
    }
    return simulate(scenario, make[run.router](1))


def answered(turns: list[tuple[str, int]]) -> int:
    """Characters of all their answers."""
    return sum(asked.answer for session, turn in turns for stage in calls_of(0, session, turn) for asked in stage)
