"""What start-up and turns cost with ten guidelines, and what tightening saves: calls, tokens, seconds, lost attempts.

The model is the shipped one at Parlant's own temperatures: its thoughts are worth nothing, so every turn that works, works
by form alone.
"""

from __future__ import annotations

import json
import os
import platform
import time
from functools import partial
from pathlib import Path
from typing import Any

import parlant.sdk as p
import pytest

from parlant_local.agent.customer import Customer
from parlant_local.nlp import LlamaService
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.settings import Settings

from .serving import HOME, host_log, serving

pytestmark = pytest.mark.filterwarnings("ignore")

QUESTIONS = ("Hello! I ordered a book.", "It is order 4711. Where is it?", "I want to send it back. How?")
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
COUNTED = ("calls", "failed", "asked_again", "tightened", "prompt_tokens", "cached_tokens", "completion_tokens", "forced_tokens", "sampled_tokens")  # fmt: skip


async def create_agent(server: p.Server, *, journey: bool = True) -> None:
    from parlant_local.agent.shop import get_opening_hours, get_order_status

    agent = await server.create_agent(id="ten", name="Tess", description="Helps the customers of a small book shop.")
    tools = {"the customer asks about an order": [get_order_status]}
    tools["the customer asks about opening hours"] = [get_opening_hours]
    for condition, action in GUIDELINES.items():
        await agent.create_guideline(condition=condition, action=action, tools=tools.get(condition, []))
    for name, description in {
        "Page Club": "The shop's reading circle.",
        "Parcel day": "Tuesday, when ordered books leave.",
        "Paper card": "A card that collects points.",
        "Pulp": "Used paperbacks.",
    }.items():
        await agent.create_term(name=name, description=description)
    if not journey:
        return
    made = await agent.create_journey(
        title="Return a book",
        description="Help the customer to send a book back.",
        conditions=["the customer wants to return a book"],
    )
    reason = await made.initial_state.transition_to(chat_state="Ask why they want to return it")
    label = await reason.target.transition_to(chat_state="Send them a label", condition="they gave a reason")
    await label.target.transition_to(state=p.END_JOURNEY)


def spent(after: dict[str, Any], before: dict[str, Any]) -> dict[str, int]:
    return {name: int(after[name] - before.get(name, 0)) for name in COUNTED}


async def measure(*, tighten: bool, conversations: int, journey: bool) -> dict[str, Any]:
    (HOME / "evaluation_cache.json").unlink(missing_ok=True)
    settings = Settings.load(None, **{"generation.tighten": tighten})
    made: list[LlamaService] = []

    def factory(container: Any) -> LlamaService:
        made.append(LlamaService(model_id=SHIPPED_MODEL_ID, settings=settings, container=container))
        return made[-1]

    turns: list[dict[str, Any]] = []
    with host_log() as log:
        started = time.monotonic()
        async with serving(factory, partial(create_agent, journey=journey)) as server:
            startup = {**spent(made[0].stats()["total"], {}), "seconds": round(time.monotonic() - started, 1)}
            for _ in range(conversations):
                async with Customer(server.address, "ten") as customer:
                    for number, question in enumerate(QUESTIONS, start=1):
                        before = made[0].stats()["total"]
                        turn = await customer.say(question)
                        cost = spent(made[0].stats()["total"], before)
                        turns.append({"turn": number, "replied": bool(turn.replies), "problem": turn.problem, **cost, "seconds": round(turn.seconds, 1)})  # fmt: skip
            schemas = {name: {key: row[key] for key in COUNTED} for name, row in made[0].stats().items()}
    return {
        "tightened": tighten,
        "journey": journey,
        "startup": startup,
        "turns": turns,
        "silent": sum(not turn["replied"] for turn in turns),
        "lost attempts": sum("ttempt" in line and "failed" in line for line in log),
        "schemas": schemas,
    }


@pytest.mark.evidence
@pytest.mark.timeout(7200)
async def test_ten_conversations_with_and_without_tightening() -> None:
    await write(Path(__file__).parents[2] / "docs" / "evidence" / "parlant-turns.json", conversations=10)


async def write(target: Path, *, conversations: int) -> None:
    runs: list[dict[str, Any]] = []
    for tighten, journey in ((True, True), (False, True), (True, False), (False, False)):
        try:
            runs.append(await measure(tighten=tighten, conversations=conversations, journey=journey))
        except Exception as error:
            # Without it the host may not even start, which is a finding.
            runs.append({"tightened": tighten, "journey": journey, "startup": f"failed: {type(error).__name__}"})
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    target.write_text(
        json.dumps(
            {"date": time.strftime("%Y-%m-%d"), "machine": machine, "model": SHIPPED_MODEL_ID, "runs": runs}, indent=1
        )
        + "\n"
    )
    for run in runs:
        if run["tightened"]:
            assert (run["silent"], run["lost attempts"]) == (0, 0)
