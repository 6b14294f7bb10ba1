"""What is wrong with a file is said by file, case and line."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from parlant_local.errors import CaseFileError
from parlant_local.evaluation.reading import exercises, read_cases, schema, shipped_cases
from tests.evaluation.files import CASES, case_file


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        ("language: en", "language: xx", "language", "agent.language"),
        (
            "apply: [price]",
            "apply: [prize]",
            "prize",
            "case asks-the-price: expect.apply: there is no guideline 'prize'",
        ),
        ("{tool: price_of, with: {zone: A}}", "{tool: cost_of}", "cost_of", "there is no tool 'cost_of' in the agent"),
        ("with: {zone: A}}", "with: {area: A}}", "area", "no parameter of price_of 'area'"),
        ("with: {zone: A}}", "with: {zone: C}}", "zone: C", "'C' is not a choice of zone: A, B"),
        ("quick: true", "quick: 7", "quick", "case asks-the-price: quick"),
        ("says: [free]", "say: [free]", "say:", "case asks-about-dogs: expect.say: Extra inputs"),
        ("says: [free]", "says: [{pattern: '(', example: '('}]", "pattern", "case asks-about-dogs"),
        ("says: [free]", "says: [{pattern: 'a+', example: b}]", "pattern", "does not match its own example"),
        ("      tools: [price_of]", "      tools: [price]", "tools: [price]", "agent.guidelines.price.tools"),
        ("when: {zone: A}", "when: {zon: A}", "zon:", "there is no parameter 'zon'"),
        ("- customer: May my dog come along?", "- agent: Hello.", "asks-about-dogs", "the customer has the last word"),
        ("id: asks-about-dogs", "id: asks-the-price", "    conversation", "is used twice"),
    ],
)
def test_problems_are_found_and_placed(tmp_path: Path, old: str, new: str, at: str, says: str) -> None:
    assert CASES.count(old) >= 1
    text = CASES.replace(old, new, 1)
    path = case_file(tmp_path, text)
    with pytest.raises(CaseFileError) as caught:
        read_cases(path)
    assert says in str(caught.value)
    lines = [number for number, line in enumerate(text.splitlines(), 1) if at in line]
    if says == "is used twice":
        lines = [lines[-1] - 1]
    assert f"{path}:{lines[0]}: " in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("agent: [", "is not YAML"),
        ("agent: {}\nagent: {}\n", "given twice"),
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("", "Input should be"),
        ("- 1\n", "Input should be"),
        ("agent: 2026-13-45\n", "is not YAML"),
        ("{" * 5000, "is not YAML"),
    ],
)
def test_what_is_no_file_of_cases(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(CaseFileError, match=says):
        read_cases(case_file(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CaseFileError, match="can't be read"):
        read_cases(tmp_path / "nowhere.yml")


def test_quick_takes_the_marked_ones_and_says_so_where_there_are_none(tmp_path: Path) -> None:
    path = case_file(tmp_path)
    assert [each.id for each in exercises([path], quick=True)] == ["tickets/asks-the-price"]
    with pytest.raises(CaseFileError, match="leave out --quick"):
        exercises([case_file(tmp_path, CASES.replace("    quick: true\n", ""))], quick=True)


def test_two_files_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(CaseFileError, match="Two files"):
        exercises([case_file(tmp_path), case_file(tmp_path / "other")])


def test_the_schema_for_editors_accepts_our_own_files() -> None:
    told = json.loads(json.dumps(schema()))
    jsonschema.Draft202012Validator.check_schema(told)
    judge = jsonschema.Draft202012Validator(told)
    for path in shipped_cases():
        judge.validate(yaml.safe_load(path.read_text("utf-8")))
    assert not judge.is_valid({"agent": {}, "cases": []})
