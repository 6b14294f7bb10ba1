"""Three agents made as newcomers make them, which no training has seen: who knows the key has every decision right."""

from __future__ import annotations

from pathlib import Path

from parlant_local.evaluation.examining import examine
from parlant_local.evaluation.reading import exercises
from parlant_local.settings import Settings
from tests.evaluation.standin import KeyBackend

AGENTS = sorted((Path(__file__).parent / "agents").glob("*.yml"))


async def test_who_knows_the_key_serves_them(settings: Settings) -> None:
    """So that what a model gets wrong in them is the model's."""
    backend = KeyBackend()
    found = await examine(backend, exercises(AGENTS), settings, finder=backend.take_finder)
    wrong = [(each.id, one) for each in found.results for one in each.decisions if not one.right]
    assert wrong == []
    assert len(found.results) == 16
    assert sum(len(each.decisions) for each in found.results) > 80


def test_each_has_one_tool_and_three_guidelines() -> None:
    assert {(len(case.agent.tools), len(case.agent.guidelines)) for case in exercises(AGENTS)} == {(1, 3)}
