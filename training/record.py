"""Sits made-up conversations in Parlant's own engine and notes what it asks, and what is right to answer.

Runs in the project's environment: python -m training.record. The prompts, the tightened schemas and the order of their
fields are therefore those that the model meets later.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any, TextIO

_HOME = tempfile.mkdtemp(prefix="training-")
os.environ["PARLANT_HOME"] = _HOME  # before Parlant is imported, which reads it once

from parlant.core.engines.alpha.engine_context import EngineContext  # noqa: E402
from parlant.core.engines.alpha.perceived_performance_policy import NullPerceivedPerformancePolicy  # noqa: E402

import parlant_local.evaluation.agents  # noqa: E402
from parlant_local.agent.serving import running_server  # noqa: E402
from parlant_local.evaluation.examining import examine  # noqa: E402
from parlant_local.evaluation.reading import Exercise  # noqa: E402
from parlant_local.nlp import LocalNLPService  # noqa: E402
from parlant_local.settings import Settings  # noqa: E402
from parlant_local.settings.calls import CallSettings  # noqa: E402
from parlant_local.settings.generation import GenerationSettings  # noqa: E402
from training.data.actions import HeldOut  # noqa: E402
from training.data.agents import Agent, an_agent  # noqa: E402
from training.data.conversations import Key  # noqa: E402
from training.stand_in import StandIn, exercises  # noqa: E402

BRIEF = {"examples": False, "reasons": "quoted", "arguments": "quoted"}
"""`generation.calls.all` of the agents that the model is to serve."""
BUILD = Path(__file__).parent / "build"
_AT_ONCE = 40
"""Agents in one room; Parlant's stores are searched in whole."""


class SometimesPreamble(NullPerceivedPerformancePolicy):
    """In half of the sessions a preamble is sent first, as Parlant's own policy does in every conversation's first turns."""

    async def is_preamble_required(self, context: EngineContext | None = None) -> bool:
        """By the session, so that all who ask in one turn hear the same."""
        return context is not None and sum(context.session.id.encode()) % 2 == 0


def _settings(brief: bool) -> Settings:
    """``brief``: without the few-shot examples in Parlant's prompts, and with what the customer said as the reason of each answer."""
    calls = {"all": CallSettings.model_validate(BRIEF)} if brief else {}
    return Settings(home=Path(_HOME), generation=GenerationSettings(calls=calls))


async def record(rng: random.Random, count: int, out: TextIO, settings: Settings) -> int:
    """Writes one line per question of the engine."""
    written = 0
    for start in range(0, count, _AT_ONCE):
        cases: list[Exercise] = []
        keys: dict[str, tuple[Agent, Key]] = {}
        for number in range(start, min(count, start + _AT_ONCE)):
            more, theirs = exercises(rng, f"agent-{number}")
            cases += more
            keys |= theirs
        stand_in = StandIn(keys)
        await examine(stand_in, cases, settings, finder=stand_in.take_finder, fresh=True)
        written += write(stand_in, out)
        print(f"{start + _AT_ONCE} agents, {written:,} questions", flush=True)
    return written


async def record_start(rng: random.Random, count: int, out: TextIO, settings: Settings) -> None:
    """What Parlant asks about guidelines before the first conversation."""
    rules = [rule for _ in range(count) for rule in an_agent(rng).guidelines.values()]
    stand_in = StandIn({})

    async def create(server: Any) -> None:
        agent = await server.create_agent(name="Agent", description="")
        for rule in {rule.when: rule for rule in rules}.values():
            await agent.create_guideline(condition=rule.when, action=rule.do)

    async with running_server(
        lambda container: LocalNLPService(stand_in, container=container, settings=settings), create
    ):
        pass
    write(stand_in, out)


def write(stand_in: StandIn, out: TextIO) -> int:
    """One line per question."""
    for name, prompt, schema, answer in stand_in.given:
        line: dict[str, Any] = {"name": name, "prompt": prompt, "schema": schema, "answer": answer}
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return len(stand_in.given)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--whole", action="store_true", help="with the few-shot examples in Parlant's prompts")
    parser.add_argument("--held-out", action="store_true", help="about things that training never speaks of")
    parser.add_argument("--out", type=Path, default=BUILD / "calls-1.jsonl.gz")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(exist_ok=True)
    with gzip.open(arguments.out, "wt", encoding="utf-8", compresslevel=1) as out:
        rng = HeldOut(arguments.seed) if arguments.held_out else random.Random(arguments.seed)
        settings = _settings(brief=not arguments.whole)
        asyncio.run(record_start(rng, arguments.agents // 10, out, settings))
        parlant_local.evaluation.agents.NullPerceivedPerformancePolicy = SometimesPreamble  # type: ignore[misc]  # in place of none at all
        asyncio.run(record(rng, arguments.agents, out, settings))


if __name__ == "__main__":
    main()
