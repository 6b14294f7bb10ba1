"""Tables of benchmarks: ratios say how many times ours is better, and a page keeps what other runs wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import report
from benchmarks.driving import Figures, Row
from benchmarks.gbnf import compact_gbnf
from benchmarks.report import save, table
from benchmarks.workloads import SCHEMA

from parlant_local.engine import LoadedModel
from parlant_local.engine.constraint import ConstraintCompiler
from parlant_local.engine.requests import Grammar
from parlant_local.settings import EngineSettings

TINY = Path(__file__).parents[2] / "src/parlant_local/models/parlant-local-tiny.gguf"
_TIME, _RATE = Row("answer"), Row("rate", "tokens/s", more_is_better=True)


def _figures(seconds: list[float], rates: list[float]) -> Figures:
    return Figures({_TIME: seconds, _RATE: rates}, valid=3, answers=4)


def test_a_ratio_above_one_says_that_ours_is_better_whatever_is_measured() -> None:
    ours = _figures([1.0, 2.0, 4.0], [100.0, 50.0, 25.0])
    ours.remark("steps", 12.0)
    text = table("C", {"ours": ours, "peer": _figures([3.0, 6.0, 6.0], [50.0, 25.0, 25.0])})
    line = next(line for line in text.splitlines() if line.startswith("| peer"))
    assert "6 s (3.00x)" in line  # the median of the pairs 3, 3 and 1.5
    assert "25 tokens/s (2.00x)" in line
    assert "3/4" in line
    assert "- steps 12" in text


def test_a_page_keeps_other_sections_and_replaces_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_circumstances", lambda repetitions: f"run {repetitions} times")
    page = tmp_path / "evidence" / "bench.md"
    save(page, "W, small model", "first", 5)
    save(page, "C, small model", "other", 2)
    save(page, "W, small model", "second", 3)
    text = page.read_text("utf-8")
    assert text.count("## W, small model") == 1
    assert "first" not in text
    assert text.index("other") < text.index("second")
    assert "run 2 times" in text
    assert "run 3 times" in text
    assert text.startswith("# Benchmarks\n")


_EMPTY = {"type": "array", "items": {"type": "null"}, "minItems": 0, "maxItems": 0}
_CHECK = {"guideline_id": "abcd", "condition_applies": True, "application_rationale": 'so "x"', "score": 10}


@pytest.mark.parametrize(
    ("schema", "value"), [(SCHEMA, {"applies": False, "rationale": "", "checks": [_CHECK] * 3}), (_EMPTY, [])]
)
def test_the_peers_grammar_is_the_schemas_compact_json_and_nothing_else(schema: dict[str, Any], value: object) -> None:
    model = LoadedModel(TINY, EngineSettings(), vocabulary_only=True)
    try:
        compiler = ConstraintCompiler(model)
        text = json.dumps(value, separators=(",", ":"))
        for said, whole in ((text, True), (text[:-1], False), (text.replace(":", ": "), text == "[]")):
            matcher = compiler.compile(Grammar(compact_gbnf(schema))).pristine.deep_copy()
            taken = matcher.consume_tokens(model.tokenize(said))
            assert (taken and matcher.is_accepting()) is whole
    finally:
        model.release()
