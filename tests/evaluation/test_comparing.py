"""Two models that were examined, compared decision by decision from what was kept."""

from __future__ import annotations

import json
from pathlib import Path

from parlant_local.evaluation.comparing import Change, compared
from parlant_local.evaluation.decisions import Decision, Family
from parlant_local.evaluation.records import CaseResult, Ledger, results_folder
from parlant_local.evaluation.statistics import Share
from parlant_local.evaluation.tally import Cost
from parlant_local.gguf_info import sha256_file
from tests.support.at_home import Verb
from tests.support.gguf_models import llama


def result(name: str, digest: str = "d" * 16, **right: bool) -> CaseResult:
    decisions = tuple(
        Decision(_family(about), about, "right" if good else "miss", True, "got") for about, good in right.items()
    )
    return CaseResult(name, digest, "en", "easy", None, decisions, Cost())


def _family(about: str) -> Family:
    return "tools" if about.startswith("t") else "matching"


def kept(home: Path, identity: str, *results: CaseResult) -> None:
    path = results_folder(home) / f"{identity}.jsonl"
    ledger = Ledger(path, f"of {identity}", {each.id: each for each in results})
    ledger.start()


def test_decisions_of_the_cases_that_both_have_are_compared(home: Path) -> None:
    kept(
        home, "a", result("one", m1=True, m2=False, t1=True), result("two", m1=True), result("only a", m1=False),
        result("changed", digest="e" * 16, m1=True),
    )  # fmt: skip
    kept(
        home,
        "b",
        result("one", m1=False, m2=True, t1=True, t2=False),
        result("two", m1=False),
        result("changed", m1=False),
    )
    found = compared(home, "a", "b")
    assert found is not None
    assert found.cases == 2
    assert found.families == {"matching": (Share(2, 3), Share(1, 3)), "tools": (Share(1, 1), Share(1, 1))}
    assert found.change == Change(1, 2, 1)


def test_models_without_a_case_in_common_are_not_compared(home: Path) -> None:
    kept(home, "a", result("one", m1=True))
    kept(home, "b", result("two", m1=True))
    assert compared(home, "a", "b") is None
    assert compared(home, "a", "nobody") is None


def test_the_verb_prints_what_was_examined_else_how_predictions_differ(verb: Verb, home: Path, tmp_path: Path) -> None:
    first, second = llama(tmp_path / "a.gguf", tied=False), llama(tmp_path / "b.gguf", tied=False, seed=1)
    text = tmp_path / "t.txt"
    text.write_text("the quick brown fox jumps over the lazy dog " * 20, "utf-8")
    quick = ("--text", str(text), "--n-ctx", "64", "--windows", "1")
    code, out, _ = verb("compare", str(first), str(second), *quick)
    assert code == 0
    assert f"divergence from {first}" in out
    assert "same first choice" in out
    kept(home, sha256_file(first), result("one", m1=True, t1=False))
    kept(home, sha256_file(second), result("one", m1=False, t1=False))
    code, out, _ = verb("compare", str(first), str(second))
    assert code == 0
    assert "the 1 case that" in out
    assert "matching" in out
    assert "0 better, 1 worse" in out
    _, told, _ = verb("compare", str(first), str(second), "--json")
    assert json.loads(told)["families"]["matching"]["second"]["part"] == 0
    _, told, _ = verb("compare", str(first), str(second), *quick, "--json")
    assert json.loads(told)["mean"] > 0
