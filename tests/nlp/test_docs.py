"""docs/parlant.md says what is there: every schema, every setting, names that can be imported."""

from __future__ import annotations

import re
from pathlib import Path

import parlant_local
from parlant_local.nlp.counters import SchemaCounter
from parlant_local.nlp.tightening import families
from parlant_local.settings import EmbeddingSettings, GenerationSettings, ModerationSettings, OutputLimits

from .test_host_schemas import SCHEMAS

PAGE = (Path(__file__).parents[2] / "docs" / "parlant.md").read_text("utf-8")


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.split(f"## {title}\n", 1)[1], flags=re.MULTILINE)[0]


def test_each_of_the_hosts_schemas_stands_in_one_row() -> None:
    rows = {}
    for line in section("What is tightened").splitlines():
        for name in re.findall(r"`(\w+Schema)`", line.split("|")[1] if line.startswith("|") else ""):
            assert name not in rows
            rows[name] = line.split("|")[2].strip()
    assert set(rows) == {schema.__name__ for schema in SCHEMAS}
    assert {name for name, bound in rows.items() if bound != "nothing"} == set(families())


def test_each_setting_stands_in_the_table_with_its_default() -> None:
    text = section("Settings that matter here")
    for prefix, part in (
        ("generation", GenerationSettings),
        ("embedding", EmbeddingSettings),
        ("moderation", ModerationSettings),
    ):
        for name, field in part.model_fields.items():
            if name == "limits":
                continue
            row = next(line for line in text.splitlines() if line.startswith(f"| `{prefix}.{name}` |"))
            default = field.get_default(call_default_factory=True) or (None if field.default_factory else field.default)
            shown = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
            assert row.split("|")[2].strip().strip("`") == shown, row
    limits = next(line for line in text.splitlines() if "generation.limits" in line)
    assert all(f".{name}`" in limits for name in OutputLimits.model_fields)
    assert limits.split("|")[2].strip() == ", ".join(str(field.default) for field in OutputLimits.model_fields.values())


def test_the_statistics_it_names_are_there() -> None:
    named = re.findall(
        r"`(\w+)`", section("What is tightened").split("**Statistics**")[1].split("**To turn it off**")[0]
    )
    counters = SchemaCounter.__dataclass_fields__
    assert {"tightened", "fixed_tokens", "rejected"} <= set(named)
    assert [name for name in named if name not in counters] == []


def test_the_new_names_can_be_imported() -> None:
    named = re.findall(r"`parlant_local\.(\w+)`", section("Names of the original integration document"))
    assert len(named) >= 5
    for name in named:
        assert getattr(parlant_local, name)
