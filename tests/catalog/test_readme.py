"""README's table of models, and what `recommend` says of the same machines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parlant_local.catalog.recommend import recommend
from parlant_local.catalog.short_names import find_short_name

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
ROWS = re.findall(r"^\| (\d+) GB \| (`.+`) \| (\d+) GB \|", README, re.MULTILINE)
GB = 1_000_000_000
OTHERS = 0.25
"""The share of the memory that the table leaves to other programs."""


def test_there_is_a_row_for_each_usual_size() -> None:
    assert [int(memory) for memory, _, _ in ROWS] == [8, 16, 32, 64]


@pytest.mark.parametrize(("memory", "models", "download"), ROWS, ids=lambda value: value.split("`")[0])
def test_a_row_is_what_recommend_says_of_such_a_machine(memory: str, models: str, download: str) -> None:
    fitting = {item.name: item for item in recommend(int(int(memory) * GB * (1 - OTHERS)), None, limit=100)}
    half = {item.name for item in recommend(int(int(memory) * GB * (1 - OTHERS) / 2), None, limit=100)}
    named = re.findall(r"`(.+?)`", models)
    for name in named:
        assert find_short_name(name) is not None
        assert round(fitting[name].size / GB) == int(download), name
    assert not half.issuperset(named), "half the memory would do"
