"""A session of a real Parlant server becomes a case that reads back, and that the same behaviour passes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from parlant_local.agent.customer import Customer
from parlant_local.agent.serving import free_port
from parlant_local.agent.shop import AGENT_ID, create_shop_agent
from parlant_local.errors import AgentError
from parlant_local.evaluation.examining import examine
from parlant_local.evaluation.reading import exercises, read_cases
from parlant_local.evaluation.recording import recorded
from parlant_local.nlp.service import LocalNLPService
from parlant_local.settings import Settings
from tests.evaluation.files import case_file
from tests.evaluation.standin import KeyBackend
from tests.fakes.scripted import Call, ScriptedBackend
from tests.support.parlant_server import serving


def attentive() -> ScriptedBackend:
    """Matches what is asked about orders, and calls the tool with the number."""

    def checks(asked: Call) -> object:
        value = backend.value(asked.params.response_format.schema, {})
        for check in value["checks"]:
            check["applies"] = "about an order" in check["condition"]
        return value

    backend = ScriptedBackend(
        answers={
            "GenericActionableGuidelineMatchesSchema": checks,
            "NonConsequentialToolBatchSchema": lambda asked: {
                "reasoning_tldr": "",
                "should_run": True,
                "calls": [{"args": {"order_id": "4711"}}],
            },
        }
    )
    return backend


@pytest.mark.filterwarnings("ignore")
async def test_a_session_reads_back_as_a_case(settings: Settings, tmp_path: Path) -> None:
    backend = attentive()
    async with serving(lambda container: LocalNLPService(backend, container=container), create_shop_agent) as server:
        async with Customer(server.address, AGENT_ID) as customer:
            await customer.post("What is the status of order 4711?")
            session = customer._session_id
            for _ in range(200):
                text = await recorded(server.address, session)
                if "get_order_status" in text.partition("expect:")[2]:
                    break
                await asyncio.sleep(0.05)
        with pytest.raises(AgentError, match="no such session"):
            await recorded(server.address, "nobody")
    path = case_file(tmp_path, text)
    file = read_cases(path)
    assert file.agent.name == "Paige"
    assert set(file.agent.glossary) == {"Page Club", "Parcel day"}
    assert set(file.agent.tools) == {"get_order_status", "get_opening_hours"}
    (case,) = file.cases
    assert case.expect.apply == ["the_customer_asks_about_an_order"]
    assert [call.tool for call in case.expect.calls or ()] == ["get_order_status"]
    assert "shipped on Monday" in str(file.agent.tools["get_order_status"].results[0].data)
    again = KeyBackend()
    found = await examine(again, exercises([path]), settings, finder=again.take_finder)
    assert found.results[0].passed


async def test_a_server_that_is_not_there(settings: Settings) -> None:
    with pytest.raises(AgentError, match="can't be reached"):
        await recorded(f"http://127.0.0.1:{free_port()}", "x")
