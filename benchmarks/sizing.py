"""``python -m benchmarks.sizing``: how many machines agents need, from measured rates; writes the table of docs/scaling.md.

Everything is arithmetic over three sources: workload T in docs/evidence/bench.md (tokens and seconds of a turn), the recorded calls
(``benchmarks.routing.turn``: answers, and heads that stay the same), and the catalogue's table of models (parameters, bytes).
"""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.routing.measured import PHASES, Phase, answered, phases
from benchmarks.routing.turn import CHARACTERS_PER_TOKEN, head_tokens
from parlant_local.catalog.short_names import ShortName, find_short_name

__all__ = ["BUSY", "CORES", "Demand", "Need", "Turn", "demand_table", "machine_table", "need", "written"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/scaling.md"

MEASURED_PARAMETERS = 113e6
MEASURED_CORES = 2
"""Of the benchmark's small model, and of the machine that T ran on."""
CORES = 16
"""Of the processors in the table, each as fast as those measured."""
CARD = 50e12
"""Operations a second that a card is supposed to sustain on a turn's calls: put in what yours does."""
BUSY = 0.6
"""Of a machine's time: what is left keeps waiting short."""
AGENTS = (1, 10, 100)
MODELS = ("llama3.2:3b", "llama3.1:8b", "qwen3:30b")


@dataclass(frozen=True)
class Demand:
    """Customers of ``agents`` agents: conversations open at once with each, and seconds between two messages in one."""

    agents: int
    conversations: int = 10
    seconds: float = 60.0

    @property
    def turns_per_second(self) -> float:
        return self.agents * self.conversations / self.seconds


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation that goes on: tokens of its prompts, those not retained, those of its answers; and seconds that it
    took on the measured machine with the measured model."""

    prompt: float
    computed: float
    answered: float
    seconds: float

    @classmethod
    def measured(cls, found: list[Phase]) -> Turn:
        [phase] = [item for item in found if item.name == "turns 2-3"]
        turns = len(PHASES[phase.name])
        characters = answered(PHASES[phase.name])
        return cls(
            phase.prompt / turns,
            phase.computed / turns,
            characters / CHARACTERS_PER_TOKEN / turns,
            phase.seconds / turns,
        )

    @property
    def sustained(self) -> float:
        """Operations a second of the measured machine over a whole turn: two for each parameter and token."""
        return 2 * MEASURED_PARAMETERS * (self.computed + self.answered) / self.seconds


@dataclass(frozen=True)
class Need:
    operations: float
    """A second, while turns come evenly."""
    processors: int
    cards: int
    weights: int
    heads: int
    """Bytes: the model; and heads of all agents, which all machines together have to retain."""


def need(demand: Demand, model: ShortName, turn: Turn) -> Need:
    operations = demand.turns_per_second * 2 * model.active_parameters * 1e9 * (turn.computed + turn.answered)
    processor = turn.sustained / MEASURED_CORES * CORES
    return Need(
        operations,
        math.ceil(operations / (processor * BUSY)),
        math.ceil(operations / (CARD * BUSY)),
        model.size,
        model.kv_bytes(demand.agents * head_tokens()),
    )


def demand_table(turn: Turn) -> str:
    head = ["agents", "conversations", "turns a minute", "prompt tokens/s", "of them computed", "answer tokens/s"]
    rows = []
    for agents in AGENTS:
        demand = Demand(agents)
        rate = demand.turns_per_second
        figures = (
            agents * demand.conversations,
            rate * 60,
            rate * turn.prompt,
            rate * turn.computed,
            rate * turn.answered,
        )
        rows.append([str(agents), *(f"{figure:,.0f}" for figure in figures)])
    return _table(head, rows)


def machine_table(turn: Turn) -> str:
    head = ["model", "agents", "operations/s", f"processors of {CORES} cores", "cards", "weights", "heads"]
    rows = []
    for name in MODELS:
        model = find_short_name(name)
        assert model is not None
        for agents in AGENTS:
            found = need(Demand(agents), model, turn)
            rows.append(
                [
                    name,
                    str(agents),
                    f"{found.operations / 1e12:,.1f} T",
                    f"{found.processors:,}",
                    str(found.cards),
                    f"{found.weights / 2**30:.1f} GiB",
                    f"{found.heads / 2**30:,.0f} GiB",
                ]
            )
    return _table(head, rows)


def written(page: str) -> str:
    """The page with its tables as they are computed now."""
    turn = Turn.measured(phases((ROOT / "docs/evidence/bench.md").read_text("utf-8")))
    for name, table in (("demand", demand_table(turn)), ("machines", machine_table(turn))):
        mark = rf"(<!-- {name}: python -m benchmarks.sizing -->\n\n)(\|.*\n)*"
        page, found = re.subn(mark, lambda match, table=table: match[1] + table, page)
        if found != 1:
            raise ValueError(f"docs/scaling.md has {found} places for the table {name!r}.")
    return page


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=__doc__).parse_args()
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
