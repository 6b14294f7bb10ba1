"""What counts as said, as the same argument, and as a right decision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parlant_local.evaluation.checks import same_value, says
from parlant_local.evaluation.decisions import Observed, decisions
from parlant_local.evaluation.format import Alternatives, Pattern
from parlant_local.evaluation.reading import Exercise, exercises
from tests.evaluation.files import CASES, case_file


@pytest.mark.parametrize(
    ("text", "check", "said"),
    [
        ("It arrives on THURSDAY.", "thursday", True),
        ("It’s   free", "it's free", True),
        ("ＦＲＥＥ", "free", True),
        ("in 2014", "14", False),
        ("on 14 May, not in 2014", "14", True),
        ("1.250", "1.250", True),
        ("Straße", "STRASSE", True),
        ("约40分钟", "40", True),
        ("nothing", Alternatives(any=["free", "gratis"]), False),
        ("all gratis", Alternatives(any=["free", "gratis"]), True),
        ("at 4 pm", Pattern(pattern="4 ?pm", example="4pm"), True),
        ("a" * 20000 + "!", Pattern(pattern="^(a+)+$", example="aaa"), False),
    ],
)
def test_what_is_said(text: str, check: Any, said: bool) -> None:
    assert says(text, check) is said


@pytest.mark.parametrize(
    ("value", "check", "same"),
    [
        ("4711", "4711", True),
        (" Monday ", "monday", True),
        ("2", 2, True),
        (2.0, 2, True),
        (True, 1, False),
        ("two", 2, False),
        ("true", True, True),
        (True, True, True),
        (None, None, True),
        ("", None, False),
        (None, "x", False),
        ("LS62AB", Alternatives(any=["LS6 2AB", "LS62AB"]), True),
        (None, Alternatives(any=["x", None]), True),
        (["a", "B"], ["A", "b"], True),
        (["a"], ["a", "b"], False),
        ("no coriander, please", Pattern(pattern="coriander", example="coriander"), True),
    ],
)
def test_the_same_argument(value: Any, check: Any, same: bool) -> None:
    assert same_value(value, check) is same


@pytest.fixture
def price(tmp_path: Path) -> Exercise:
    return exercises([case_file(tmp_path)])[0]


@pytest.fixture
def dogs(tmp_path: Path) -> Exercise:
    return exercises([case_file(tmp_path)])[1]


def outcomes(exercise: Exercise, observed: Observed) -> list[tuple[str, str]]:
    return [(each.family, each.outcome) for each in decisions(exercise, observed)]


CALL = ("price_of", {"zone": "A"})


def test_all_right(price: Exercise) -> None:
    observed = Observed(guidelines=frozenset({"price"}), calls=(CALL,))
    assert {outcome for _, outcome in outcomes(price, observed)} == {"right"}
    assert [family for family, _ in outcomes(price, observed)] == ["matching", "matching", "tools", "arguments"]


def test_misses_and_false_alarms_are_told_apart(price: Exercise) -> None:
    found = outcomes(price, Observed(guidelines=frozenset({"dogs"})))
    assert found == [("matching", "miss"), ("matching", "false_alarm"), ("tools", "miss")]


def test_a_wrong_argument_and_a_second_call(price: Exercise) -> None:
    calls = (("price_of", {"zone": "B"}), ("price_of", {"zone": None}))
    found = outcomes(price, Observed(guidelines=frozenset({"price"}), calls=calls))
    assert found[2:] == [("tools", "right"), ("arguments", "wrong"), ("tools", "false_alarm")]


def test_the_best_fitting_call_is_the_expected_one(price: Exercise) -> None:
    calls = (("price_of", {"zone": "B"}), CALL)
    found = outcomes(price, Observed(guidelines=frozenset({"price"}), calls=calls))
    assert found[2:] == [("tools", "right"), ("arguments", "right"), ("tools", "false_alarm")]


def test_silence_says_nothing(dogs: Exercise) -> None:
    found = outcomes(dogs, Observed(guidelines=frozenset({"dogs"}), reply=None))
    assert found[-1] == ("replies", "miss")


def test_silence_is_no_merit_either(tmp_path: Path) -> None:
    text = CASES.replace("says: [free]", "never_says: [pounds]")
    case = exercises([case_file(tmp_path, text)])[1]
    seen = frozenset({"dogs"})
    assert outcomes(case, Observed(guidelines=seen, reply=None))[-1] == ("replies", "miss")
    assert outcomes(case, Observed(guidelines=seen, reply="Free."))[-1] == ("replies", "right")
    assert outcomes(case, Observed(guidelines=seen, reply="5 pounds"))[-1] == ("replies", "false_alarm")


def test_a_failed_turn_loses_every_decision(price: Exercise) -> None:
    found = decisions(price, Observed(error="it broke"))
    assert {each.outcome for each in found} == {"lost"}
    assert {each.got for each in found} == {"it broke"}


def test_what_people_would_disagree_about_is_not_judged(tmp_path: Path) -> None:
    text = CASES.replace("apply: [dogs]", "apply: []\n      either: [dogs]")
    case = exercises([case_file(tmp_path, text)])[1]
    for seen in (frozenset[str](), frozenset({"dogs"})):
        assert [each.about for each in decisions(case, Observed(seen, reply="free"))][:1] == ["price does not apply"]
