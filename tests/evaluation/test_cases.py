"""Our own cases: as many and as varied as promised, readable, and winnable (see test_examining)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from parlant_local.evaluation.reading import Exercise, exercises, read_cases, shipped_cases

FILES = shipped_cases()
ALL = exercises(FILES)


def having(test: str) -> list[Exercise]:
    return [each for each in ALL if bool(getattr(each.case.expect, test)) or getattr(each.case.expect, test) == []]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_readable_and_licensed(path: Path) -> None:
    file = read_cases(path)
    assert "SPDX-License-Identifier: Apache-2.0" in path.read_text("utf-8").splitlines()[0]
    assert path.stem.startswith(file.agent.language)
    assert sum(case.quick for case in file.cases) >= 2, "each agent has its part in the short examination"


def test_there_are_as_many_as_promised() -> None:
    assert len(ALL) >= 150
    assert len(FILES) >= 12
    assert 20 <= len(exercises(FILES, quick=True)) <= 30


def test_five_languages_and_every_trap() -> None:
    languages = Counter(each.agent.language for each in ALL)
    assert set(languages) == {"en", "pt", "es", "de", "zh"}
    assert min(languages.values()) >= 20
    levels = Counter(each.case.level for each in ALL)
    assert min(levels["easy"], levels["usual"], levels["hard"]) >= 30
    traps = Counter(each.case.trap for each in ALL if each.case.trap)
    assert set(traps) == {
        "near miss", "negation", "two intents", "changed mind", "long history", "injection", "missing data",
    }  # fmt: skip
    assert min(traps.values()) >= 4
    assert {each.case.trap for each in ALL if each.case.quick} >= set(traps)


@pytest.mark.parametrize(("expectation", "least"), [("apply", 100), ("calls", 50), ("journey", 30), ("canned", 40)])
def test_every_kind_of_decision_is_examined_often(expectation: str, least: int) -> None:
    assert len(having(expectation)) >= least


def test_conversations_are_all_different() -> None:
    told = Counter(tuple(line.model_dump_json() for line in each.case.conversation) for each in ALL)
    assert max(told.values()) == 1


def test_a_digest_changes_with_the_agent_and_the_case_but_not_with_being_quick() -> None:
    exercise = ALL[0]
    slow = exercise.case.model_copy(update={"quick": not exercise.case.quick})
    assert Exercise(exercise.file, exercise.agent, slow).digest == exercise.digest
    other = exercise.agent.model_copy(update={"description": "Another."})
    assert Exercise(exercise.file, other, exercise.case).digest != exercise.digest
