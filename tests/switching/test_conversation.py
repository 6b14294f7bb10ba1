"""A real Parlant server whose primary model dies, returns and is swapped; the customer gets every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import parlant.sdk as p
import pytest

from parlant_local.agent.customer import Customer, Turn
from parlant_local.nlp import ModelSwitcher
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.switching import CallRecord
from tests.fakes.openai import FakeOpenAI
from tests.support.eventually import eventually
from tests.support.parlant_server import serving

from .conftest import Configure


async def create_agent(server: p.Server) -> None:
    agent = await server.create_agent(id="shop", name="Flo", description="Helps in a book shop.")
    await agent.create_guideline(condition="the customer asks about an order", action="tell its status")


@pytest.mark.filterwarnings("ignore")
async def test_a_conversation_survives_a_death_a_return_and_two_swaps(configure: Configure, vllm: FakeOpenAI) -> None:
    records: list[CallRecord] = []
    async with FakeOpenAI(name="other") as other:
        endpoints = {
            "vllm": {"base_url": vllm.base_url, "timeout_seconds": 2.0},
            "other": {"base_url": other.base_url, "timeout_seconds": 2.0},
        }
        breaker = {"failure_threshold": 3, "cooldown_seconds": 0.5}
        settings = configure(endpoints=endpoints, **{"switcher.breaker": breaker, "engine.seed": 7})

        def service(container: Any) -> ModelSwitcher:
            return ModelSwitcher(
                default_model_id="vllm/m",
                fallback_model_id="ollama/m",
                settings=settings,
                container=container,
                observer=records.append,
            )

        async with serving(service, create_agent) as server, Customer(server.address, "shop") as customer:
            switcher = server.service
            assert isinstance(switcher, ModelSwitcher)

            async def turn(question: str, meanwhile: Callable[[], Any] | None = None) -> tuple[Turn, dict[str, int]]:
                """What the customer got, and how many calls each model answered."""
                first = len(records)
                asking = asyncio.ensure_future(customer.say(question))
                if meanwhile is not None:
                    await eventually(lambda: len(records) > first)  # in the middle of the turn
                    if (waiting := meanwhile()) is not None:
                        await waiting
                said = await asking
                answered: dict[str, int] = {}
                for record in records[first:]:
                    if record.error is None:
                        answered[record.target] = answered.get(record.target, 0) + 1
                return said, answered

            said, answered = await turn("Hello!")
            assert said.replies
            assert set(answered) == {"vllm/m"}

            said, answered = await turn("Where is my order?", meanwhile=vllm.stop)
            assert said.replies
            assert answered["ollama/m"] > 0

            said, answered = await turn("Are you still there?")
            assert said.replies
            assert answered["ollama/m"] > 0
            assert "vllm/m" not in answered

            await vllm.start()
            await eventually(lambda: switcher._routed._attempts.breaker("vllm/m").admits)
            said, answered = await turn("And now?")
            assert said.replies
            assert answered["vllm/m"] > 0

            said, answered = await turn("Tell me more.", meanwhile=lambda: switcher.set_model("other/m"))
            assert said.replies
            said, answered = await turn("And?")
            assert said.replies
            assert set(answered) == {"other/m"}

            switcher.set_model(SHIPPED_MODEL_ID)
            said, answered = await turn("Goodbye!")
            assert said.replies
            assert set(answered) == {SHIPPED_MODEL_ID}

            dead = [record for record in records if record.target == "vllm/m" and record.error is not None]
            assert len(dead) < 40  # a crowd in flight when it died, then one probe at a time
            stats = switcher.stats()["switcher"]
            assert all(target["in_flight"] == 0 for target in stats["targets"].values())
            await (
                switcher.close()
            )  # the host never does, and this loop, which its connections belong to, is about to end
