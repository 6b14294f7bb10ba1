"""The arithmetic of a report, its verdict, and the forms that it takes."""

from __future__ import annotations

import datetime
from xml.etree import ElementTree

import pytest

from parlant_local.backends.base import ModelInfo
from parlant_local.evaluation.comparing import change, changes
from parlant_local.evaluation.decisions import Decision, Family, Outcome
from parlant_local.evaluation.examining import Examination
from parlant_local.evaluation.html import page
from parlant_local.evaluation.junit import junit
from parlant_local.evaluation.records import CaseResult
from parlant_local.evaluation.report import Report, report_of
from parlant_local.evaluation.statistics import Share, median, wilson
from parlant_local.evaluation.tally import Cost
from parlant_local.evaluation.verdict import advice, verdict

INFO = ModelInfo(id="local/qwen/one", quantization="Q2_K", parameters=500_000_000, n_ctx=4096, memory_bytes=1 << 30)


def decision(family: Family, outcome: Outcome, wanted: bool) -> Decision:
    return Decision(family, f"<b>{family}</b> & more", outcome, wanted, "]]>\x07 got")


def result(name: str, *found: Decision, **more: object) -> CaseResult:
    cost = Cost(calls=4, failed=1, retried=2, rejected=1, sampled_tokens=30, completion_tokens=50, seconds=2.0)
    return CaseResult(name, "d" * 16, "de", "hard", "negation", found, cost, **more)  # type: ignore[arg-type]  # keywords of the dataclass


RESULTS = (
    result("shop/one", decision("matching", "right", True), decision("matching", "miss", True), replied=True, alone="cold"),
    result("shop/two", *[decision("matching", "right", False)] * 8, replied=False, alone="warm"),
    result("shop/three", decision("tools", "lost", True), error="it broke"),
)  # fmt: skip


@pytest.fixture
def report() -> Report:
    now = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)
    return report_of(Examination(INFO, RESULTS, 0, "c" * 64), holds=0.9, now=now)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_wilsons_interval(part: int, whole: int, low: float, high: float) -> None:
    """Reference values: Newcombe 1998, table I, and R's prop.test without correction."""
    assert wilson(part, whole) == pytest.approx((low, high), abs=1e-4)


def test_medians() -> None:
    assert median([]) is None
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0]) == 2.5


def test_figures(report: Report) -> None:
    matching = report.families["matching"]
    assert (matching.right.part, matching.right.whole, matching.misses, matching.false_alarms) == (9, 10, 1, 0)
    assert matching.level == pytest.approx((0.5 + 1.0) / 2), "always saying no is no merit"
    assert report.families["tools"].lost == 1
    assert report.score == pytest.approx((0.75 + 0.0) / 2)
    assert (report.cases.part, report.cases.whole) == (1, 3)
    account = report.account
    assert (account.calls, account.valid.part, account.retried, account.rejected) == (12, 9, 6, 3)
    assert (account.silent.part, account.silent.whole, account.failed_turns) == (1, 2, 1)
    assert (account.cold_seconds, account.warm_seconds, account.busy_seconds) == (2.0, 2.0, 2.0)
    assert set(report.families) == {"matching", "tools"}, "what was not examined is left out"


@pytest.mark.parametrize(
    ("levels", "unsure", "says"),
    [
        ({"matching": 1.0, "tools": 0.95}, [], "Holds all that was examined: guidelines and tool calls."),
        ({"matching": 1.0}, ["matching"], "Holds all that was examined: guidelines; more cases would have to confirm guidelines."),
        ({"matching": 0.93, "arguments": 0.8}, [], "Holds guidelines; loses tool arguments in one of five."),
        ({"matching": 0.85, "tools": 0.6}, [], "Holds nothing for sure; loses tool calls in one of two, guidelines in one of seven."),
        ({"matching": 0.4, "tools": 0.05}, [], "Not fit for an agent: loses tool calls nearly always, guidelines in six of ten."),
        ({}, [], "Nothing was examined."),
    ],
)  # fmt: skip
def test_the_verdict_follows_its_rule(levels: dict[Family, float], unsure: list[Family], says: str) -> None:
    assert verdict(levels, 0.9, unsure) == says


def test_every_level_has_a_sentence() -> None:
    for percent in range(101):
        assert verdict({"matching": percent / 100}, 0.9).endswith(".")


def test_what_would_help(report: Report) -> None:
    told = " ".join(report.advice)
    for expected in (
        "Q2_K stores 2 bits",
        "0.5 billion parameters",
        "generation.max_tokens",
        "engine.n_ctx, now 4,096",
    ):
        assert expected in told
    good = ModelInfo(id="x", quantization="Q4_K_M", parameters=8_000_000_000, n_ctx=32768)
    assert list(advice(good, {"matching": 0.95}, Share(10, 10), 0.9)) == []
    thinker = ModelInfo(id="x", capabilities=frozenset({"reasoning"}))
    assert "generation.reasoning" in next(advice(thinker, {"tools": 0.5}, Share(10, 10), 0.9))


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_is_well_formed_and_runs_nothing(report: Report, count: int) -> None:
    text = page([report] * count)
    root = ElementTree.fromstring(text.removeprefix("<!doctype html>"))
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "script" not in names
    assert {"svg", "table", "style"} <= names
    for element in root.iter():
        assert not any(name.startswith("on") or name in ("style", "href", "src") for name in element.attrib)
    policy = next(each.get("content", "") for each in root.iter("meta") if each.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "<b>" not in text, "a model's text is shown, not obeyed"


def test_junit_reads_back(report: Report) -> None:
    root = ElementTree.fromstring(junit([(report.model, report.results)]).partition("\n")[2])
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    assert [case.get("name") for case in suite] == ["one", "two", "three"]
    assert suite[2][0].tag == "error"


def test_as_plain_data(report: Report) -> None:
    told = report.as_dict()
    assert told["families"]["matching"]["part"] == 9
    assert [failure["id"] for failure in told["failures"]] == ["shop/one", "shop/three"]


def test_what_a_setting_changed() -> None:
    def report(**right: bool) -> Report:
        found = [Decision("matching", name, "right" if fine else "miss", True) for name, fine in right.items()]
        return report_of(Examination(INFO, (result("shop/one", *found),), 0, "c" * 64), holds=0.9)

    before = report(a=True, b=False, c=False, d=False, e=True)
    assert str(change(before, before)) == "nothing changed"
    after = report(a=True, b=True, c=True, d=False, e=False, f=True)
    found = change(before, after)
    assert (found.better, found.worse, found.same) == (2, 1, 2)
    assert found.chance == 1.0
    assert changes([before, after]) == ["", "2 better, 1 worse (p = 1.00)"]
    nine = report(**{f"n{number}": True for number in range(9)})
    none = report(**{f"n{number}": False for number in range(9)})
    assert change(none, nine).chance == pytest.approx(2 / 2**9)
