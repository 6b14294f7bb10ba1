"""What the shipped model does for the demonstration and for agents that it has never seen: docs/evidence/tiny-agent.md."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from parlant_local.agent import shop
from parlant_local.agent.customer import Customer
from parlant_local.agent.shop import AGENT_ID, create_shop_agent
from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.evaluation.decisions import Observed, decisions
from parlant_local.evaluation.reading import Exercise, exercises
from parlant_local.evaluation.retrieval import EverythingIsNear
from parlant_local.evaluation.room import opened
from parlant_local.factory import nlp_service
from parlant_local.nlp import LocalNLPService
from parlant_local.settings import Settings
from tests.evaluation.test_unseen_agents import AGENTS
from tests.support.evidence import table, write_section
from tests.support.parlant_server import serving
from tests.support.places import TINY

pytestmark = [pytest.mark.evidence, pytest.mark.filterwarnings("ignore")]

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "tiny-agent.md"
_RUN = "<!-- run by tests/evaluation/test_tiny_evidence.py -->"
COMMAND = "pytest -m evidence tests/evaluation/test_tiny_evidence.py"
_ORDERS = 20
_ASKED = (
    "What is the status of order {}?",
    "Where is my order {}?",
    "Can you check order {}?",
    "Any news about order {}?",
)
_STATES = ("on a lorry", "at the binder's", "lost at sea", "waiting for a stamp", "in the cellar", "with our neighbour")


class Orders(dict[str, str]):
    """The shop's orders, and which were looked up."""

    def __init__(self, orders: dict[str, str]) -> None:
        super().__init__(orders)
        self.asked: list[str] = []

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]  # as the shop calls it
        self.asked.append(key)
        return super().get(key, default)


def test_the_demonstration(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "parlant_local", "demo"], capture_output=True, text=True, timeout=600, check=True
    )
    write_section(
        PAGE, "The demonstration", f"{_RUN}\n```text\n{done.stdout.rstrip()}\n```", command="parlant-local demo"
    )
    assert sum(line.startswith("Agent: ") for line in done.stdout.splitlines()) >= 3


async def test_orders_drawn_at_random(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(4)
    numbers = {str(rng.randint(100, 9_999_999)) for _ in range(_ORDERS)}
    orders = Orders({number: rng.choice(_STATES) for number in sorted(numbers)})
    monkeypatch.setattr(shop, "_ORDERS", orders)
    right: Counter[str] = Counter()
    async with serving(partial(nlp_service, settings=Settings.load(model=str(TINY))), create_shop_agent) as server:
        for number, state in orders.items():
            orders.asked.clear()
            async with Customer(server.address, AGENT_ID) as customer:
                turn = await customer.say(rng.choice(_ASKED).format(number))
            reply = " ".join(turn.replies)
            assert reply, turn.problem
            right["the number is looked up, and nothing else"] += orders.asked == [number]
            right["the reply has the number"] += number in reply
            right["the reply has the state of the order"] += state in reply
    rows = [(part, f"{count} of {len(orders)}") for part, count in right.items()]
    write_section(
        PAGE, "Orders drawn at random", table(("in the demonstration's agent", "right"), rows), command=COMMAND
    )


async def test_agents_that_it_has_never_seen(home: Path) -> None:
    settings, cases = Settings(home=home), exercises(AGENTS)
    lines: list[str] = []
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for case, observed in await _sat(cases, settings):
        assert not observed.error, case.id
        wrong = [f"{each.about}: {each.outcome}" for each in decisions(case, observed) if not each.right]
        for each in decisions(case, observed):
            asked[each.family] += 1
            right[each.family] += each.right
        lines += [
            f"**{case.agent.name}, {case.case.id}**{'' if not wrong else ' (wrong: ' + '; '.join(wrong) + ')'}",
            "",
            _RUN,
            "```text",
        ]
        lines += [_told(line.model_dump(by_alias=True, exclude_none=True)) for line in case.case.conversation]
        lines += [f"  calls {name}({json.dumps(arguments)})" for name, arguments in observed.calls]
        lines += [f"Agent: {observed.reply}" if observed.reply else "(nothing has to be said)", "```", ""]
    rows = [(family, f"{right[family]} of {asked[family]}") for family in asked]
    write_section(
        PAGE, "Three agents that it has never seen", "\n".join([table(("decisions", "right"), rows), "", *lines]), command=COMMAND
    )  # fmt: skip


async def _sat(cases: Sequence[Exercise], settings: Settings) -> list[tuple[Exercise, Observed]]:
    from parlant_local.evaluation.sitting import Invigilator

    async with LlamaCppBackend(TINY, settings=settings) as backend:

        def service(container: object) -> LocalNLPService:
            return LocalNLPService(
                backend, embedding_backend=EverythingIsNear(), settings=settings, container=container
            )  # type: ignore[arg-type]  # lagom's

        async with opened(service, cases) as container:
            invigilator = Invigilator(container)
            await invigilator.admit(cases)
            return [(case, await invigilator.run(case)) for case in cases]


def _told(line: dict[str, object]) -> str:
    (kind, what), *_ = line.items()
    return f"  called {json.dumps(what)}" if kind == "called" else f"{kind.capitalize()}: {what}"
