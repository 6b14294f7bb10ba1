"""docs/evidence/routing.md: what was compared, and how it came out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.routing.measured import (
    EVIDENCE,
    RAY,
    SMALL,
    Phase,
    compared,
    fitted,
    phases,
    ray_runs,
    simulated,
)
from benchmarks.routing.replicas import Budget, Rates
from benchmarks.routing.routers import ROUTERS, Affinity, Router
from benchmarks.routing.simulation import Outcome, Scenario, simulate
from benchmarks.routing.turn import calls_of, head_tokens

__all__ = ["LARGE", "WARM_LOAD", "checks", "scenario", "warm_turn", "write"]

BENCHMARKS = EVIDENCE / "bench.md"
LARGE = Budget(memory=8_192, disk=32_768)
"""The same 1 and 4 GiB for a model of eight billion parameters: 128 KiB for each token."""
WARM_LOAD = 0.3
"""Of all replicas' time, if every turn were a warm one."""
SMALLER = ("ours, four routers", "ours, agents not told", "sticky sessions")
"""Routers that fewer replicas tell enough of."""
HEADS = (0.0, 4.0, 8.0, 16.0)

_INTRODUCTION = """# Routing to replicas, simulated

Written by `python -m benchmarks.routing --save`: a discrete-event simulation (`benchmarks/routing/`), the same at every run with its
seed. Routers are the code of `parlant_local/ray/affinity.py` and, to compare, the usual ones. Nothing here was measured on
{replicas} machines; what the simulation says of one process, and of as many replicas as this project can run, is compared below with
what was measured.

- **Calls** are a Parlant turn's, stage by stage, with sizes recorded from a Parlant server (`benchmarks/routing/turn.py`).
- **A replica** computes a prompt's tokens that it does not have, and the answer; calls that run share its time equally, nine at
  once. It retains whole states in memory and heads on disk, least recently used first, as [the engine](../engine.md#retained-prefixes) does.
- **Its rates** are fitted to workload T of [the benchmarks](bench.md): {token:.2f} ms a token, {character:.1f} ms a character of an
  answer, for a model of 113 million parameters on two cores. A warm turn, alone on such a replica, takes {warm:.0f} s. So read times as multiples of that;
  hits and balance don't depend on it.
- **Load**: {load:.0%} of all replicas' time, if every turn were a warm one. What a router makes be computed again comes on top.
- **Left out**: the network, and batching's gain; queue lengths are known exactly; a prompt that is being computed counts as there.
"""


def scenario(rates: Rates, budget: Budget, replicas: int, sessions: int, **changes: int) -> Scenario:
    """Conversations that keep the replicas busy for ``WARM_LOAD`` of their time at best."""
    made = Scenario(rates, budget, replicas, sessions)
    made = replace(made, think=sessions * warm_turn(rates) / (replicas * WARM_LOAD))
    return replace(made, **changes)


def warm_turn(rates: Rates) -> float:
    """Seconds of work in a second turn where everything but what is new is there."""
    work = 0.0
    for stage in calls_of(0, "s", 1):
        for index, asked in enumerate(stage):
            sibling = any(other.schema == asked.schema for other in stage[:index])
            work += rates.seconds(asked.own + (0 if sibling else asked.history // 2), asked.answer)
    return work


def write(page: Path, replicas: int, sessions: int, say: Callable[[str], None]) -> None:
    rates = fitted(phases(BENCHMARKS.read_text("utf-8")))
    introduction = _INTRODUCTION.format(
        replicas=replicas,
        token=rates.token * 1000,
        character=rates.character * 1000,
        warm=warm_turn(rates),
        load=WARM_LOAD,
    )
    parts = [introduction, checks(), _main(rates, replicas, sessions, say), _others(rates, replicas, sessions, say)]
    page.write_text("\n".join(parts), "utf-8")


def checks(runs: Path = RAY) -> str:
    """What was measured, beside the same on paper: the part that is filled in anew when measurements are."""
    measured = phases(BENCHMARKS.read_text("utf-8"))
    rates = fitted(measured)
    return f"## Against what was measured\n\n{_one_process(compared(measured, rates))}\n{_replicas(rates, runs)}"


def _one_process(pairs: list[tuple[Phase, Phase]]) -> str:
    rows = [
        [one.name, f"{one.reused:.1%}", f"{two.reused:.1%}", f"{one.seconds:.1f} s", f"{two.seconds:.1f} s"]
        for one, two in pairs
    ]
    head = ["one process", "reused, measured", "simulated", "time, measured", "simulated"]
    return _table(head, rows) + (
        "\nTimes of all four are fitted together with two rates; what is reused is not fitted. The recorded conversation differs "
        "a little each time it is recorded.\n"
    )


def _replicas(rates: Rates, path: Path) -> str:
    if not (runs := ray_runs(path)):
        return f"Replicas: `docs/evidence/{RAY.name}` has no figures yet; with them, the command fills this in.\n"
    rows = [
        [str(run.replicas), run.router, f"{run.reused:.1%}", f"{simulated(run, rates).hit_rate:.1%}"] for run in runs
    ]
    return (
        _table(["replicas", "router", "reused, measured", "simulated"], rows)
        + "\n[Measured](ray.md) on replicas that shared two cores: what was reused says something, times don't.\n"
    )


def _main(rates: Rates, replicas: int, sessions: int, say: Callable[[str], None]) -> str:
    text = (
        f"## {replicas} replicas, {sessions:,} conversations\n\nThree turns each, twenty agents (their heads have {20 * head_tokens():,} tokens; "
        f"a replica retains {LARGE.memory + LARGE.disk:,}, which is what the default budgets hold of a model of eight billion "
        "parameters).\n\n"
    )
    rows = [
        _row(name, _run(scenario(rates, LARGE, replicas, sessions), make, say, name), rates)
        for name, make in ROUTERS.items()
        if name not in SMALLER
    ]
    return text + _table(_HEAD, rows) + _READING


def _others(rates: Rates, replicas: int, sessions: int, say: Callable[[str], None]) -> str:
    fewer, some = max(2, replicas // 5), max(20, sessions // 20)
    wide = scenario(rates, LARGE, fewer, some)
    told = {
        "as above, fewer": wide,
        "states of the small model": replace(wide, budget=SMALL),
        "one agent": replace(wide, agents=1),
        "heads in a folder for all": replace(wide, shared_folder=True, budget=replace(LARGE, disk=20 * head_tokens())),
        "a fifth of the replicas die": replace(wide, replaced=max(1, fewer // 5)),
    }
    rows = []
    for what, made in told.items():
        for name in ("ours", "two choices", *(SMALLER if made is wide else ())):
            outcome = _run(made, ROUTERS[name], say, f"{what}, {name}")
            rows.append([what, *_row(name, outcome, rates), str(outcome.sent_again)])
    text = f"\n## Elsewhere\n\n{fewer} replicas, {some:,} conversations.\n\n"
    text += _table(["what differs", *_HEAD, "calls sent again"], rows) + _SMALLER_READING
    weights = [
        _row(f"{head:g}", _run(wide, lambda seed, head=head: Affinity(seed, head=head), say, f"head {head:g}"), rates)
        for head in HEADS
    ]
    text += "\n## What a head is worth\n\nHow many more requests a replica may have that has the head, before another is chosen.\n\n"
    return text + _table(["`head`", *_HEAD[1:]], weights)


_HEAD = ["router", "reused", "computed for a turn", "work of a turn", "busiest replica", "reply, median", "99 of 100"]
_READING = """
*Reused*: of all prompt tokens. *Computed*: prompt tokens of a turn that were not reused. *Work of a turn*, and
replies, in multiples of a warm turn alone: as work grows, so does the number of replicas for the same load, and where it exceeds what
they have, replies wait. *Busiest replica*: its work, the mean being 1.
"""
_SMALLER_READING = """
*Four routers*: calls come to any of four that don't talk to each other. *Agents not told*: the key names the schema only, so that twenty
agents' heads have one home. *Sticky sessions*: a conversation stays where it began.
"""


def _row(name: str, outcome: Outcome, rates: Rates) -> list[str]:
    warm = warm_turn(rates)
    turns = len(outcome.replies)
    return [
        name,
        f"{outcome.hit_rate:.1%}",
        f"{(outcome.prompt - outcome.reused) / turns:,.0f}",
        f"{outcome.work / turns / warm:.1f}",
        f"{outcome.imbalance:.2f}",
        f"{outcome.percentile(50) / warm:.1f}",
        f"{outcome.percentile(99) / warm:.1f}",
    ]


def _run(made: Scenario, router: Callable[[int], Router], say: Callable[[str], None], name: str) -> Outcome:
    begun = time.monotonic()
    outcome = simulate(made, router(1))
    say(f"{name}: {outcome.hit_rate:.1%} reused, {time.monotonic() - begun:.0f} s")
    return outcome


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
