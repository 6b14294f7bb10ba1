"""Parlant's verdicts that outlive the model which gave them."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from parlant_local.nlp.evaluation_cache import check_evaluation_cache
from tests.support.damage import DAMAGES, damaged, put

CACHE = "evaluation_cache.json"
MARKER = "parlant-local-models.json"


def fill(home: Path) -> None:
    (home / CACHE).write_text(json.dumps({"guideline_evaluations_3.3.2": [{"id": "x"}]}))


def test_a_new_home_is_nothing_to_speak_of(tmp_path: Path) -> None:
    assert check_evaluation_cache(tmp_path, "local/a") is None


def test_a_cache_without_verdicts_is_nothing_to_speak_of(tmp_path: Path) -> None:
    (tmp_path / CACHE).write_text(json.dumps({"guideline_evaluations_3.3.2": [], "metadata": [{"a": 1}]}))
    assert check_evaluation_cache(tmp_path, "local/a") is None


def test_the_same_model_again_is_fine(tmp_path: Path) -> None:
    check_evaluation_cache(tmp_path, "local/a")
    fill(tmp_path)
    assert check_evaluation_cache(tmp_path, "local/a") is None


def test_another_model_is_told_whose_verdicts_it_inherits_and_which_file_to_delete(tmp_path: Path) -> None:
    check_evaluation_cache(tmp_path, "local/weak")
    fill(tmp_path)
    for model in ("local/strong", "local/strong", "local/weak"):  # mixed from the second one on
        warning = check_evaluation_cache(tmp_path, model)
        assert warning is not None
        assert str(tmp_path / CACHE) in warning
    first = check_evaluation_cache(tmp_path, "local/strong")
    assert first is not None
    assert "local/weak" in first
    (tmp_path / CACHE).unlink()
    assert check_evaluation_cache(tmp_path, "local/strong") is None
    fill(tmp_path)
    assert check_evaluation_cache(tmp_path, "local/strong") is None


def test_verdicts_from_before_our_time_are_noticed_at_every_start(tmp_path: Path) -> None:
    fill(tmp_path)
    for _ in range(2):
        assert "another NLP service" in (check_evaluation_cache(tmp_path, "local/a") or "")


def test_rubbish_in_the_home_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / CACHE).write_text("not json")
    (tmp_path / "parlant-local-models.json").write_text("[1")
    assert check_evaluation_cache(tmp_path, "local/a") is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_a_home_costs_a_warning_at_most(damage: str, tmp_path: Path) -> None:
    put(damage, tmp_path / CACHE)
    put(damage, tmp_path / MARKER)
    warning = check_evaluation_cache(tmp_path, "local/a")
    # Too large to be looked into, the host's cache holds verdicts, of whom the damaged marker doesn't tell.
    assert (warning is not None) == (damage == "large")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_marker_that_can_not_be_read_is_kept_and_means_that_anybody_may_have_judged(
    damage: str, tmp_path: Path
) -> None:
    fill(tmp_path)
    put(damage, tmp_path / MARKER)
    assert "another NLP service" in (check_evaluation_cache(tmp_path, "local/a") or "")
    if damage != "link to nothing":
        assert list(tmp_path.glob(f"{MARKER}.damaged-*"))
    assert json.loads((tmp_path / MARKER).read_text())["models"] == ["another NLP service", "local/a"]


@given(data=damaged({"models": ["local/a"]}), cache=damaged({"guideline_evaluations_3.3.2": [{"id": "x"}]}))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_of_any_content(data: bytes, cache: bytes, tmp_path: Path) -> None:
    put(data, tmp_path / MARKER)
    put(cache, tmp_path / CACHE)
    warning = check_evaluation_cache(tmp_path, "local/b")
    assert warning is None or str(tmp_path / CACHE) in warning
