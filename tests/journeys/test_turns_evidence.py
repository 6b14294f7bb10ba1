"""What Parlant makes of a model without sense, with and without tightening: rejected answers, lost attempts, silence.

The model is the shipped one at Parlant's own temperatures. Its thoughts are worth nothing, so every turn that works, works
by form alone. The result is kept in docs/evidence/tightening.md.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import parlant.sdk as p
import pytest

from parlant_local.agent.customer import Customer, Turn
from parlant_local.nlp import LlamaService
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.settings import Settings
from tests.support.evidence import table, write_section
from tests.support.parlant_server import HOME, host_log, serving

pytestmark = pytest.mark.filterwarnings("ignore")  # of Parlant's own dependencies

QUESTIONS = ("Hello! I ordered a book.", "It is order 4711. Where is it?", "I want to send it back. How?")
CONVERSATIONS = 10
START_UPS = 3
PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "tightening.md"
GUIDELINES = {
    "the customer greets you": "greet them back",
    "the customer asks about an order": "tell its status",
    "the customer asks about opening hours": "tell the opening hours of that day",
    "the customer wants to return a book": "ask them for the reason",
    "the customer complains": "apologise and offer help",
    "the customer asks for a recommendation": "ask which kind of books they like",
    "the customer asks about prices": "say that prices are on the web page",
    "the customer asks about the Page Club": "invite them to the next meeting",
    "the customer thanks you": "say that they are welcome",
    "the customer says goodbye": "wish them a good day",
}
TERMS = {
    "Page Club": "The shop's reading circle.",
    "Parcel day": "Tuesday, when ordered books leave.",
    "Paper card": "A card that collects points.",
    "Pulp": "Used paperbacks.",
}
# How the host's log tells that an answer was not what it wanted although its schema was kept.
COMPLAINTS = (
    "WARNING: Illegal",
    "llegal canned response ID",
    "Invalid canned response ID",
    "is not in the list of available preamble",
    "No checks generated",
    "No applies generated",
    "Unknown argument",
    "not found in tool parameters",
    "InvalidArgument",
)


CHECKING = {
    "GenericObservationalGuidelineMatchesSchema",
    "GenericActionableGuidelineMatchesSchema",
    "GenericPreviouslyAppliedActionableGuidelineMatchesSchema",
    "GenericPreviouslyAppliedActionableCustomerDependentGuidelineMatchesSchema",
    "GenericResponseAnalysisSchema",
}


@dataclass
class Outcome:
    """What the host did with what the model wrote."""

    name: str
    calls: int = 0
    start_ups: int = 0
    failed_start_ups: list[str] = field(default_factory=list)
    """Why they failed."""
    turns: list[Turn] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    sampled_tokens: int = 0
    asked: int = 0
    """Verdicts on guidelines that prompts asked for."""
    not_given: int = 0
    """Of these, in no answer: to the host such a guideline does not apply."""

    @property
    def lost_attempts(self) -> int:
        return sum("ttempt" in line and "failed" in line for line in self.log)

    @property
    def rejected(self) -> int:
        """Answers that the host could not use: those that cost an attempt, and those it only complained about."""
        return self.lost_attempts + sum(any(words in line for words in COMPLAINTS) for line in self.log)

    @property
    def silent(self) -> int:
        return sum(not turn.replies for turn in self.turns)

    def row(self) -> list[object]:
        starts = f"{len(self.failed_start_ups)} of {self.start_ups}" if self.start_ups else ""
        silent = f"{self.silent} of {len(self.turns)}" if self.turns else ""
        missing = f"{self.not_given} of {self.asked}" if self.asked else ""
        each = len(self.turns) or self.start_ups
        cells = [self.name, self.calls, self.rejected, self.lost_attempts, missing, starts, silent]
        return [*cells, round(self.sampled_tokens / each)]

    def judge(self, prompt: str, answer: str) -> None:
        """Compare the ids in a matching's answer with those that the prompt's last part prints."""
        wanted = re.findall(r'"guideline_id": "(\d+)"', re.split("OUTPUT FORMAT|Expected Output", prompt)[-1])
        given = {check["guideline_id"] for check in json.loads(answer)["checks"]}
        self.asked += len(wanted)
        self.not_given += len(set(wanted) - given)

    def watch(self, backend: Any) -> None:
        """See what ``backend`` is asked and answers."""
        chat = backend.chat

        async def watched(messages: Any, **options: Any) -> Any:
            reply = await chat(messages, **options)
            if options["response_format"].name in CHECKING:
                self.judge(messages[0].content, reply.content)
            return reply

        backend.chat = watched


async def create_agent(server: p.Server) -> None:
    """Ten guidelines, two tools, four terms, a journey of three steps."""
    from parlant_local.agent.shop import get_opening_hours, get_order_status

    tools = {"the customer asks about an order": [get_order_status]}
    tools["the customer asks about opening hours"] = [get_opening_hours]
    agent = await server.create_agent(id="tess", name="Tess", description="Helps the customers of a small book shop.")
    for condition, action in GUIDELINES.items():
        await agent.create_guideline(condition=condition, action=action, tools=tools.get(condition, []))
    for name, description in TERMS.items():
        await agent.create_term(name=name, description=description)
    journey = await agent.create_journey(
        "Return a book",
        "Help the customer to send a book back.",
        ["the customer wants to return a book"],  # conditions, after 3.3 triggers
    )
    reason = await journey.initial_state.transition_to(chat_state="Ask why they want to return it")
    label = await reason.target.transition_to(chat_state="Send them a label", condition="they gave a reason")
    await label.target.transition_to(state=p.END_JOURNEY)


@asynccontextmanager
async def server(outcome: Outcome, *, tighten: bool) -> AsyncIterator[str | None]:
    """The address of a server whose calls and log go to ``outcome``; None where it did not start."""
    settings = Settings.load(None, **{"generation.tighten": tighten})
    made: list[LlamaService] = []

    def factory(container: Any) -> LlamaService:
        made.append(LlamaService(model_id=SHIPPED_MODEL_ID, settings=settings, container=container))
        outcome.watch(made[-1].backend)
        return made[-1]

    with host_log() as log:
        async with AsyncExitStack() as stack:
            address = None
            try:
                address = (await stack.enter_async_context(serving(factory, create_agent))).address
            except Exception as error:
                # Rejected three times, an evaluation ends the start. Anything else is no finding.
                if "valuation" not in str(error):
                    raise
                outcome.failed_start_ups.append(str(error))
            yield address
        outcome.calls += made[0].stats()["total"]["calls"]
        outcome.sampled_tokens += made[0].stats()["total"]["sampled_tokens"]
    outcome.log += log


async def start_ups(name: str, *, tighten: bool) -> Outcome:
    outcome = Outcome(name)
    for _ in range(START_UPS):
        (HOME / "evaluation_cache.json").unlink(missing_ok=True)
        outcome.start_ups += 1
        async with server(outcome, tighten=tighten):
            pass
    return outcome


async def conversations(name: str, *, tighten: bool) -> Outcome:
    """On a server that finds its evaluations in the cache, two conversations at a time."""
    outcome = Outcome(name)
    async with server(outcome, tighten=tighten) as address:
        assert address is not None
        for _ in range(0, CONVERSATIONS, 2):
            for turns in await asyncio.gather(converse(address), converse(address)):
                outcome.turns += turns
    return outcome


async def converse(address: str) -> list[Turn]:
    async with Customer(address, "tess") as customer:
        return [await customer.say(question) for question in QUESTIONS]


@pytest.mark.evidence
@pytest.mark.timeout(1800)
async def test_a_model_without_sense_is_never_rejected_nor_silent_with_tightening() -> None:
    # What was evaluated last is what the conversations start from, with and without.
    outcomes = [
        await start_ups("start-up, without", tighten=False),
        await start_ups("start-up, with", tighten=True),
        await conversations("turns, without", tighten=False),
        await conversations("turns, with", tighten=True),
    ]
    head = ["", "calls", "rejected answers", "lost attempts", "verdicts missing", "failed start-ups", "silent turns"]
    head.append("sampled tokens per start-up or turn")
    text = (
        f"{table(head, [outcome.row() for outcome in outcomes])}\n\n"
        f"{START_UPS} start-ups of a server whose agent has ten guidelines, two tools, a journey and a glossary, and "
        f"{CONVERSATIONS} conversations of three turns with it, all on the shipped model at Parlant's own temperatures. The "
        "turns start from evaluations made with tightening on both sides. A rejected answer cost an attempt, or Parlant "
        "complained about it in its log. A missing verdict is one on a guideline that the prompt asked about and the answer "
        "does not name; to Parlant that guideline does not apply, and nothing tells."
    )
    write_section(
        PAGE, "Rejected answers and silence", text, command="pytest -m evidence tests/journeys/test_turns_evidence.py"
    )
    without, with_it = outcomes[::2], outcomes[1::2]
    print(*(line for outcome in with_it for line in outcome.log), sep="\n")
    # Where a prompt asks about one guideline, the shipped model names it by itself: its turns are fine without, at a price.
    assert without[0].rejected > 0
    assert with_it[1].sampled_tokens < without[1].sampled_tokens
    assert with_it[1].asked > 0
    assert [(o.rejected, o.not_given, o.silent, o.failed_start_ups) for o in with_it] == [(0, 0, 0, [])] * 2
