"""Scores of evaluated models: kept by digest, and what makes them unusable costs no more than they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlant_local.catalog.scores import Score, keep_score, scores


def score(value: float, cases: int) -> Score:
    return Score(
        "local/llama/one", value, "Holds all that was examined: guidelines.", cases, "2026-11-26T00:00:00+00:00"
    )


def test_the_longer_examination_counts(tmp_path: Path) -> None:
    assert scores(tmp_path) == {}
    keep_score(tmp_path, "a" * 64, score(0.5, 27))
    keep_score(tmp_path, "b" * 64, score(0.9, 27))
    keep_score(tmp_path, "a" * 64, score(0.7, 158))
    keep_score(tmp_path, "a" * 64, score(0.6, 27))
    assert {key: (each.score, each.cases) for key, each in scores(tmp_path).items()} == {
        "a" * 64: (0.7, 158),
        "b" * 64: (0.9, 27),
    }


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"x": {"score": 2}}', '{"x": null}', "\x00"])
def test_a_damaged_file_is_as_none(tmp_path: Path, damage: str) -> None:
    keep_score(tmp_path, "a" * 64, score(0.5, 27))
    (tmp_path / "evaluation" / "scores.json").write_text(damage)
    assert scores(tmp_path) == {}
    keep_score(tmp_path, "a" * 64, score(0.5, 27))
    assert len(scores(tmp_path)) == 1
