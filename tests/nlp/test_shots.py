"""Parlant's own prompts on a model whose context is too small for them: the real host, the real engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import parlant.sdk as p
import pytest
from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp import LlamaService
from parlant_local.nlp.schematic_call import SchematicCall
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.nlp.shots import SHOT_SECTIONS, without_shots
from parlant_local.settings import Settings
from tests.support.parlant_server import QUESTIONS, host_log, serving, three_turns

HOST = Path(p.__file__).parent / "core"


def test_the_hosts_sections_of_examples_are_known_by_their_names() -> None:
    """Whatever the host calls an example is left out, or is known not to be one."""
    found = set()
    for path in HOST.rglob("*.py"):
        found |= set(re.findall(r'"([a-z0-9_-]*(?:examples?|shots)(?:-[a-z0-9_-]*)?)"', path.read_text("utf-8")))
    names = {name for name in found if "-" in name}
    # The rules of what is continuous, told by cases.
    assert names - SHOT_SECTIONS == {"guideline-continuous-proposer-examples"}
    assert SHOT_SECTIONS - names <= {"tool-caller-examples_consequential", "tool-caller-examples_non_consequential"}


def test_leaving_examples_out_changes_nothing_else() -> None:
    prompt = PromptBuilder().add_section("a", "one {x}", {"x": 1}).add_section("message-generator-examples", "two")
    prompt.add_section("b", "three {brace", {})
    assert without_shots(prompt) == "one 1\n\nthree {brace"
    assert list(prompt.sections) == ["a", "message-generator-examples", "b"]
    assert without_shots(PromptBuilder().add_section("examples", "mine")) is None
    assert without_shots("examples") is None


async def create(server: p.Server) -> None:
    agent = await server.create_agent(id="agent", name="Flo", description="Helps in a book shop.")
    await agent.create_guideline(condition="the customer asks about an order", action="tell its status")
    await agent.create_observation(condition="the customer greets you")


@pytest.mark.filterwarnings("ignore")
async def test_a_turn_is_not_lost_for_its_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """First to learn what a turn's longest prompt with examples needs, then a conversation with a little less."""
    asked: list[str] = []

    def service(**more: Any) -> Any:
        settings = Settings.load(
            None,
            **{"engine.seed": 7, "generation.max_tokens": 512, "generation.calls": {"all": {"examples": True}}, **more},
        )
        return lambda container: LlamaService(model_id=SHIPPED_MODEL_ID, settings=settings, container=container)

    def spied(call: Any) -> Any:
        made = original(call)
        asked.append(call.text)
        return made

    original = SchematicCall.question
    monkeypatch.setattr(SchematicCall, "question", spied)
    async with serving(service(), create) as server:
        await three_turns(server.address, "agent", QUESTIONS[0])
        sizes = {text: await server.service.backend.count_tokens(text) for text in set(asked)}
        assert server.service.stats()["total"]["brief"] == 0
    longest = max(sizes.values())
    async with serving(service(**{"engine.n_ctx": longest - 20}), create) as server:
        with host_log() as log:
            turns = await three_turns(server.address, "agent", *QUESTIONS[:2])
        total = server.service.stats()["total"]
    assert [turn.problem for turn in turns] == ["", ""]
    assert all(turn.replies for turn in turns)
    assert total["failed"] == 0
    assert total["brief"] > 0
    assert sum("examples in its prompt are left out" in line for line in log) == 1
