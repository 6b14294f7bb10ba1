"""An agent of a running Parlant server is examined (docs/evaluate.md): its definitions are read there, the cases name only conversations."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import parlant.sdk as p
import pytest

from parlant_local.agent.serving import RunningServer, free_port
from parlant_local.agent.shop import create_shop_agent, get_order_status
from parlant_local.errors import AgentError, CaseFileError
from parlant_local.evaluation.definitions import JourneyTold, definitions_of
from parlant_local.evaluation.examining import examine
from parlant_local.evaluation.journey_charts import steps_of
from parlant_local.evaluation.reading import exercises
from parlant_local.evaluation.recording import recorded_agent
from parlant_local.nlp.service import LocalNLPService
from parlant_local.settings import Settings
from parlant_local.shipped import SHIPPED_ID
from tests.evaluation.files import case_file
from tests.evaluation.standin import KeyBackend
from tests.fakes.scripted import ScriptedBackend
from tests.support.parlant_server import serving

RUN = "from parlant_local.cli.main import main; main()"

CASES = """\
agent:
  tools:
    get_order_status:
      results: [{when: {order_id: "4711"}, data: it is on its way}]
  journeys:
    returns:
      steps:
        ask_for_the_order: {done_when: the customer gave the order number}
cases:
  - id: an-order
    conversation:
      - customer: Where is order 4711?
    expect:
      apply: [the_customer_asks_about_an_order]
      calls: [{tool: get_order_status, with: {order_id: "4711"}}]
  - id: a-return
    conversation:
      - customer: I want to send a book back.
    expect:
      journey: {returns: ask_for_the_order}
"""


async def create(server: p.Server) -> None:
    await create_shop_agent(server)
    agent = await server.create_agent(id="other", name="Otto", description='Takes books back. Says "please".')
    await agent.create_guideline(
        condition="the customer asks about an order", action="tell its status", tools=[get_order_status]
    )
    journey = await agent.create_journey("Returns", "How books come back.", ["the customer wants to return a book"])
    first = await journey.initial_state.transition_to(chat_state='ask for the order\'s "number" & <name>')
    known = await first.target.transition_to(tool_state=get_order_status, condition="they gave it")
    fork = await known.target.fork()
    await fork.target.transition_to(chat_state="offer a refund", condition="it has arrived")
    late = await fork.target.transition_to(chat_state="ask for\npatience", condition="it has not: it is late")
    await late.target.transition_to(state=p.END_JOURNEY)
    await first.target.transition_to(chat_state="offer help", condition="they have no number")


@pytest.mark.parametrize("name", ["conditions", "triggers"])
def test_a_journeys_triggers_have_two_names(name: str) -> None:
    """Parlant 3.3's, and its next line's."""
    told = {"id": "j", "title": "Returns", "description": "", name: ["g1"], "tags": [], "labels": [], "priority": 0}
    assert JourneyTold.of(told) == JourneyTold("j", "Returns", "", ["g1"])


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    def service(container: object) -> LocalNLPService:
        return LocalNLPService(ScriptedBackend(), container=container)  # type: ignore[arg-type]  # the host's

    async with serving(service, create) as running:
        yield running


@pytest.mark.filterwarnings("ignore")
async def test_an_agent_is_examined_as_it_is_defined(server: RunningServer, settings: Settings, tmp_path: Path) -> None:
    defined = await definitions_of(server.address, "Otto")
    assert defined == await definitions_of(server.address, "other")
    assert set(defined["tools"]) == {"get_order_status"}
    assert defined["journeys"]["returns"]["when"] == ["the customer wants to return a book"]
    assert defined["journeys"]["returns"]["steps"] == {
        "ask_for_the_order": {
            "do": 'ask for the order\'s "number" & <name>',
            "then": {"use_the_tool_get_order_status": "they gave it", "offer_help": "they have no number"},
        },
        "use_the_tool_get_order_status": {
            "tool": "get_order_status",
            "then": {"offer_a_refund": "it has arrived", "ask_for_patience": "it has not: it is late"},
        },
        "offer_a_refund": {"do": "offer a refund"},
        "ask_for_patience": {"do": "ask for\npatience"},
        "offer_help": {"do": "offer help"},
    }
    path = case_file(tmp_path, CASES.replace("ask_for_the_order", "ask_for_the_order"))
    cases = exercises([path], agent=defined)
    assert cases[0].agent.tools["get_order_status"].results[0].data == "it is on its way"
    assert cases[0].agent.journeys["returns"].steps["ask_for_the_order"].done_when
    backend = KeyBackend()
    found = await examine(backend, cases, settings, finder=backend.take_finder)
    assert [one.about for each in found.results for one in each.decisions if not one.right] == []
    printed = case_file(tmp_path, await recorded_agent(server.address, "Otto"), "printed.yml")
    text = printed.read_text("utf-8").replace("cases: []\n", CASES[CASES.index("cases:") :])
    assert len(exercises([case_file(tmp_path, text, "whole.yml")])) == 2, "what is printed is a file of its own"
    changed = {**defined, "description": "Something else."}
    assert exercises([path], agent=changed)[0].digest != cases[0].digest, "its results are those of another agent"
    with pytest.raises(AgentError, match="no agent called 'nobody'") as caught:
        await definitions_of(server.address, "nobody")
    assert "paige (Paige)" in caught.value.hint


@pytest.mark.filterwarnings("ignore")
async def test_on_the_command_line(server: RunningServer, tmp_path: Path) -> None:
    async def run(*arguments: str) -> tuple[int | None, str, str]:
        command = (sys.executable, "-c", RUN, "evaluate", *arguments, "--agent", "Otto", "--server", server.address)
        kept = {key: value for key, value in os.environ.items() if key != "PARLANT_HOME"}
        process = await asyncio.create_subprocess_exec(
            *command, env=kept, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(280):
            out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    code, out, err = await run()
    assert (code, "the_customer_asks_about_an_order:" in out) == (0, True), err
    cases = case_file(tmp_path, CASES)
    code, out, err = await run(SHIPPED_ID, "--cases", str(cases), "--json", "--n-ctx", "8192", "--min-accuracy", "1")
    assert (code, json.loads(out)[0]["cases"]["whole"]) == (1, 2), err
    code, _, err = await run(SHIPPED_ID, "--cases", str(case_file(tmp_path, CASES.replace("asks_about", "asks_of"))))
    assert (code, "the agent, which has the_customer_asks_about_an_order" in err) == (2, True), err


async def test_a_name_that_the_agent_does_not_have(tmp_path: Path) -> None:
    agent = {"name": "A", "language": "en", "description": "", "guidelines": {"a": {"when": "b", "do": "c"}}}
    with pytest.raises(
        CaseFileError, match="no guideline 'the_customer_asks_about_an_order' in the agent, which has a"
    ):
        exercises([case_file(tmp_path, CASES[CASES.index("cases:") :])], agent=agent)


async def test_a_server_that_is_not_there() -> None:
    with pytest.raises(AgentError, match="can't be reached"):
        await definitions_of(f"http://127.0.0.1:{free_port()}", "x")


def test_charts_that_are_odd() -> None:
    assert steps_of("stateDiagram-v2", ()) == {}
    loop = 'stateDiagram-v2\n    state "a" as N1\n    [*] --> N0\n    N0 --> N0: c\n    N0 --> N1: d\n    N1 --> N1'
    assert steps_of(loop, ()) == {"a": {"do": "a", "then": {"a": None}}}
    two = 'stateDiagram-v2\n    state "x y" as N0\n    state "X, y!" as N1\n    [*] --> N0\n    N0 --> N1\n    N0 --> [*]: e'
    assert steps_of(two, ()) == {"x_y": {"do": "x y", "then": {"x_y_1": None}}, "x_y_1": {"do": "X, y!"}}
