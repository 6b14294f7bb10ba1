"""What the tiny model is taught to think before a verdict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from training.data.calls import AGAIN, with_reasons
from training.data.reasons import NOTHING, parted, reason, shared


@pytest.mark.parametrize(
    ("condition", "said", "both"),
    [
        ("the customer asks about guided tours", "Is there a guided tour on Friday?", "guided tours"),
        ("the customer has a flat tyre", "I have a flat tyre! What now?", "flat tyre"),
        ("the customer asks when the plumber arrives", "When will the plumber arrive?", "plumber arrives"),
        ("the customer asks about helmets", "Can I take photos?", NOTHING),
        ("the customer asks about helmets", "What about the customer?", NOTHING),
    ],
)
def test_the_words_that_both_have_are_named_as_the_condition_writes_them(condition: str, said: str, both: str) -> None:
    assert shared(condition, said, applies=both != NOTHING) == both


def test_what_means_the_same_in_other_words_is_named_by_its_meaning() -> None:
    assert shared("the user asks for a coupon", "Can you make it cheaper?", applies=True) == "discounts"
    assert shared("the user asks for a coupon", "Can you make it cheaper?", applies=False) == NOTHING


def test_a_reason_can_be_parted_again() -> None:
    told = reason("the user asks about dogs", "Same: dogs?", applies=True)
    assert parted(told) == ("They said: Same: dogs?", " Same: dogs")
    assert parted("They said: hello") == ("They said: hello", "")


def test_recorded_answers_get_todays_reasons_once() -> None:
    check = {"condition": "the user asks about dogs", "rationale": "They said: Is my dog welcome?", "applies": True}
    call = {
        "name": "GenericActionableGuidelineMatchesSchema",
        "answer": {"checks": [check, {"condition": "met again", "condition_met_again": True}]},
    }
    assert check["rationale"] != "They said: Is my dog welcome? Same: dogs"
    for _ in range(2):
        assert with_reasons(call)["answer"]["checks"][0]["rationale"] == "They said: Is my dog welcome? Same: dogs"


def test_decisions_that_were_recorded_without_a_reason_get_one_from_the_last_message() -> None:
    said = [
        {"event_source": who, "data": {"message": text}} for who, text in (("user", "A dog's?"), ("ai_agent", "Yes"))
    ]
    prompt = f"Events:\n{[json.dumps(each) for each in said]!r}\n###"
    check = {"condition": "the user asks about dogs", "condition_met_again": True, "should_reapply": True}
    call: dict[str, Any] = {"name": AGAIN, "prompt": prompt, "answer": {"checks": [check]}}
    once = with_reasons(call)
    (found,) = once["answer"]["checks"]
    assert list(found) == ["condition", "rationale", "condition_met_again", "should_reapply"]
    assert found["rationale"] == "They said: A dog's? Same: dogs"
    assert with_reasons(once) == once
    assert "rationale" not in check
