"""What the tiny model is taught about agents: Parlant's engine has to take it as it takes a model's answers."""

from __future__ import annotations

import random
from pathlib import Path

import jsonschema
import pytest
import training.data.actions
from training.data.actions import HeldOut
from training.data.agents import Agent
from training.data.calls import _LEFT, answer_pieces, host_lines, shortened
from training.data.conversations import Key
from training.stand_in import StandIn, exercises

from parlant_local.evaluation.examining import examine
from parlant_local.evaluation.reading import Exercise
from parlant_local.settings import Settings

KNOWN = {
    "GenericActionableGuidelineMatchesSchema",
    "NonConsequentialToolBatchSchema",
    "CannedResponseDraftSchema",
}


@pytest.fixture
async def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Has sat what five agents were asked."""
    monkeypatch.setattr(training.data.actions, "library_words", tuple)  # reading the standard library takes seconds
    rng = random.Random(5)
    cases: list[Exercise] = []
    keys: dict[str, tuple[Agent, Key]] = {}
    for number in range(5):
        more, theirs = exercises(rng, f"agent-{number}")
        cases += more
        keys |= theirs
    found = StandIn(keys)
    results = (await examine(found, cases, Settings(home=tmp_path), finder=found.take_finder, fresh=True)).results
    assert [each.error for each in results] == [""] * len(cases)
    assert [each.replied for each in results] == [True] * len(cases)
    return found


async def test_every_answer_fits_its_schema_and_decides_what_the_key_says(stand_in: StandIn) -> None:
    assert {name for name, *_ in stand_in.given} >= KNOWN
    for _, _, schema, answer in stand_in.given:
        jsonschema.validate(answer, dict(schema))
    verdicts = [
        check["applies"]
        for name, _, _, answer in stand_in.given
        if name == "GenericActionableGuidelineMatchesSchema"
        for check in answer["checks"]
    ]
    assert 0.2 < sum(verdicts) / len(verdicts) < 0.8
    replies = [answer["response_body"] for name, _, _, answer in stand_in.given if name == "CannedResponseDraftSchema"]
    assert any(reply.startswith("Here is what I found for ") for reply in replies)


async def test_only_constant_passages_are_left_out(stand_in: StandIn) -> None:
    calls = [
        {"name": name, "prompt": prompt, "schema": schema, "answer": answer}
        for name, prompt, schema, answer in stand_in.given
    ]
    constant = host_lines(calls)
    whole_gaps = next(seed for seed in range(99) if random.Random(seed).choice(_LEFT) == 1.0)
    for call in calls:
        pieces = shortened(random.Random(whole_gaps), call["prompt"], constant[call["name"]])
        assert "".join(piece.skipped + piece.text for piece in pieces) == call["prompt"]
        assert sum(len(piece.text) for piece in pieces) < 0.75 * len(call["prompt"])
        assert "<" not in "".join(piece.text for piece in answer_pieces(call)).replace("<<__missing__>>", "")


def test_what_is_scored_is_about_things_that_training_never_speaks_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.data.actions, "library_words", tuple)
    seen = {training.data.actions.a_thing(random.Random(seed)) for seed in range(400)}
    held_out = {training.data.actions.a_thing(HeldOut(seed)) for seed in range(400)}
    assert not {thing for thing in held_out if thing in training.data.actions.UNSEEN_THINGS} & seen
    assert set(training.data.actions.UNSEEN_THINGS) <= held_out
