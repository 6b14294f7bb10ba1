"""docs/evaluate.md says what is there."""

from __future__ import annotations

import re
from pathlib import Path

from parlant_local.cli.evaluate import evaluate
from parlant_local.evaluation.format import Expectation
from parlant_local.evaluation.reading import exercises, read_cases, shipped_cases
from parlant_local.settings import EvaluationSettings
from tests.evaluation.files import case_file

PAGE = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text("utf-8")


def test_the_example_is_a_file_of_cases(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert [case.id for case in read_cases(case_file(tmp_path, text)).cases] == ["price-and-dog"]


def test_the_figures_are_true() -> None:
    files = shipped_cases()
    assert f"There are {len(exercises(files))} cases of {len(files)} agents" in PAGE
    assert f"from a level of {100 * EvaluationSettings().holds:.0f} % (`evaluation.holds`)" in PAGE


def test_every_option_that_it_shows_exists_and_every_expectation_is_shown() -> None:
    options = {name for parameter in evaluate.params for name in parameter.opts}
    assert set(re.findall(r"(?<!-)--[a-z][a-z-]+", PAGE)) <= options
    rows = "".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", rows)) >= set(Expectation.model_fields)
