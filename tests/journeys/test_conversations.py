"""Real conversations: a real Parlant server, customers over HTTP, and the shipped model thinking in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import parlant.sdk as p
import pytest
import pytest_asyncio

from parlant_local.agent.customer import Customer, Turn
from parlant_local.agent.serving import RunningServer
from parlant_local.nlp import LlamaService
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.settings import Settings
from tests.support.eventually import eventually
from tests.support.parlant_server import QUESTIONS, host_log, serving, three_turns

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.filterwarnings("ignore")]

TEMPLATES = ("Your order is on its way.", "We are open from 10 to 16.", "Hello! How may I help you?")


def llama(container: Any) -> LlamaService:
    # A streamed reply of this model ends after two words otherwise.
    wordy = {
        "replies": {"temperature": 2, "max_tokens": 64},
        "CannedResponseDraftSchema": {"temperature": 0.15, "max_tokens": 500},
    }
    settings = Settings.load(None, **{"moderation.mode": "model", "engine.seed": 7, "generation.calls": wordy})
    return LlamaService(model_id=SHIPPED_MODEL_ID, settings=settings, container=container)


async def create_agents(server: p.Server) -> None:
    """One agent per way of composing, with a few guidelines each: each guideline costs calls at start-up."""
    fluid = await server.create_agent(id="fluid", name="Flo", description="Helps in a book shop.")
    await fluid.create_guideline(condition="the customer asks about an order", action="tell its status")
    await fluid.create_observation(condition="the customer greets you")

    strict = await server.create_agent(
        id="strict",
        name="Sid",
        description="Helps in a book shop.",
        composition_mode=p.CompositionMode.STRICT,
    )
    approved = [await strict.create_canned_response(template) for template in TEMPLATES]
    await strict.create_guideline(action="answer the customer", matcher=p.MATCH_ALWAYS, canned_responses=approved)

    await server.create_agent(
        id="streaming", name="Stan", description="Helps in a book shop.", output_mode=p.OutputMode.STREAM
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with serving(llama, create_agents) as running:
        yield running


@pytest.mark.parametrize("agent", ["fluid", "streaming"])
async def test_three_turns_get_three_replies_and_nothing_goes_wrong(server: RunningServer, agent: str) -> None:
    with host_log() as log:
        turns = await three_turns(server.address, agent, *QUESTIONS)
    if agent == "streaming":
        assert max([chunks_of_whole(turn) for turn in turns]) > 2
    assert [turn.problem for turn in turns] == ["", "", ""]
    assert all(turn.replies for turn in turns)
    assert [line for line in log if "NLP" in line or "Attempt" in line or "error" in line] == []
    total = server.service.stats()["total"]
    assert (total["failed"], total["rejected"], total["refused"]) == (0, 0, 0)


async def test_a_strict_agent_says_only_approved_words(server: RunningServer) -> None:
    turns = await three_turns(server.address, "strict", *QUESTIONS)
    replies = [reply for turn in turns for reply in turn.replies]
    assert all(turn.replies for turn in turns)
    no_match = "Not sure I understand"
    assert all(reply in TEMPLATES or reply.startswith(no_match) for reply in replies)


def chunks_of_whole(turn: Turn) -> int:
    """In how many pieces a message came, which is complete."""
    message = turn.events[-1]
    assert message["message"].strip() == turn.replies[-1]
    assert message["chunks"][-1] is None
    assert "".join(chunk for chunk in message["chunks"] if chunk) == message["message"]
    return len(message["chunks"])


async def test_a_customer_who_interrupts_is_not_kept_waiting(server: RunningServer) -> None:
    """The newer message is taken while the older one is worked on (by 3.2 after the preamble), and that work stops."""
    async with Customer(server.address, "fluid") as customer:
        await customer.say("Hello!")
        for text in ("Where is my order?", "No wait, my other order!", "Never mind: when are you open?"):
            await customer.post(text)
            await until_thinking(server)  # otherwise there might be nothing to interrupt
        turn = await customer.say("Are you still there?")
    assert turn.replies, turn.problem
    assert server.service.stats()["total"]["cancelled"] > 0


async def until_thinking(server: RunningServer) -> None:
    engine = server.service.backend.engine  # type: ignore[attr-defined]  # the engine behind LlamaService
    await eventually(lambda: engine.stats().running)


async def test_moderation_is_asked_and_a_clean_message_gets_its_reply(server: RunningServer) -> None:
    async with Customer(server.address, "fluid", moderation="auto") as customer:
        posted = await customer.post("Hello!")
        turn = await customer.say("Hello again!")
    assert set(posted.data["tags"]) <= {
        "jailbreak", "harassment", "hate", "illicit", "self-harm", "sexual", "violence",
    }  # fmt: skip
    assert posted.data["flagged"] == bool(posted.data["tags"])
    assert turn.replies, turn.problem


async def test_nothing_leaks_in_the_engine(server: RunningServer) -> None:
    engine = server.service.backend.engine  # type: ignore[attr-defined]  # the engine behind LlamaService
    await eventually(lambda: not engine.stats().running and not engine.stats().waiting)
    await engine.check_integrity()
