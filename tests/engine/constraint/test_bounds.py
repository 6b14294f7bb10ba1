"""Bounds of schemas: each refusal names the keyword, the limit and the setting; what real ones need passes."""

from __future__ import annotations

from typing import Any

import pytest

from parlant_local.engine.constraint.bounds import shown
from parlant_local.engine.constraint.closing import close_schema, closed_schema
from parlant_local.engine.constraint.closing_cost import worst_case_closing
from parlant_local.engine.requests import Limits
from parlant_local.errors import SchemaError
from parlant_local.settings import ConstraintSettings

_BOUNDS = ConstraintSettings(
    max_kb=16, max_depth=12, max_parts=300, max_branches=20, max_values=30, max_properties=25, max_text=200,
    max_count=50, max_pattern=40, max_repeat=60, max_multiple=1_000,
)  # fmt: skip


def _name(value: Any) -> str:
    return ascii(shown(value))[1:50]


def _refusal(schema: Any, limits: Limits, bounds: ConstraintSettings) -> SchemaError | None:
    try:
        close_schema(schema, limits, bounds)
    except SchemaError as refused:
        return refused
    return None


def _nested(depth: int) -> Any:
    schema: Any = {"type": "null"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def _fan(width: int, depth: int) -> Any:
    definitions: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * width} for n in range(depth)}
    return {"$defs": {**definitions, f"d{depth}": {"type": "null"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "keyword", "setting"),
    [
        ({"description": "x" * 20_000}, "", "max_kb"),
        ({"enum": [["x"] * 9_000]}, "", "max_kb"),
        ({"const": 10**60_000}, "", "max_kb"),
        (_nested(15), "", "max_depth"),
        (
            {"properties": {f"a{n}": {"properties": {f"b{m}": {} for m in range(20)}} for n in range(20)}},
            "",
            "max_parts",
        ),
        ({"anyOf": [{"const": n} for n in range(21)]}, "anyOf", "max_branches"),
        ({"oneOf": [{"const": n} for n in range(21)]}, "oneOf", "max_branches"),
        ({"allOf": [{"minLength": n} for n in range(21)]}, "allOf", "max_branches"),
        ({"enum": list(range(31))}, "enum", "max_values"),
        ({"enum": [[n] for n in range(21)]}, "enum", "max_branches"),
        ({"properties": {str(n): {} for n in range(26)}}, "properties", "max_properties"),
        ({"patternProperties": {str(n): {} for n in range(26)}}, "patternProperties", "max_properties"),
        ({"required": [str(n) for n in range(26)]}, "required", "max_properties"),
        ({"prefixItems": [{}] * 26}, "prefixItems", "max_properties"),
        ({"items": [{}] * 26}, "items", "max_properties"),
        ({"properties": {"n" * 201: {}}}, "properties", "max_text"),
        ({"const": "n" * 201}, "const", "max_text"),
        ({"enum": ["n" * 201]}, "enum", "max_text"),
        ({"type": "string", "minLength": 51}, "minLength", "max_count"),
        ({"type": "string", "minLength": 10**30}, "minLength", "max_count"),
        ({"type": "array", "minItems": 2 * 10**8}, "minItems", "max_count"),
        ({"type": "object", "minProperties": 1e30}, "minProperties", "max_count"),
        ({"type": "string", "pattern": "a" * 41}, "pattern", "max_pattern"),
        ({"enum": ["a"], "pattern": "a" * 41}, "pattern", "max_pattern"),
        ({"type": "string", "pattern": "a{61}"}, "pattern", "max_repeat"),
        ({"type": "string", "pattern": "(ab){2,100000}"}, "pattern", "max_repeat"),
        ({"type": "object", "patternProperties": {"a{99999999999999}": {}}}, "pattern", "max_repeat"),
    ],
    ids=_name,
)
def test_exceeding_a_bound_names_keyword_limit_and_setting(schema: Any, keyword: str, setting: str) -> None:
    with pytest.raises(SchemaError, match=rf"engine\.constraints\.{setting}") as refused:
        close_schema(schema, Limits(), _BOUNDS)
    assert refused.value.keyword == keyword
    assert str(getattr(_BOUNDS, setting)) in refused.value.message
    assert refused.value.hint
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"minLength": 1e400}, "minLength"),
        ({"minLength": -1}, "minLength"),
        ({"maxItems": 0.5}, "maxItems"),
        ({"minItems": True}, "minItems"),
        ({"maxProperties": "9"}, "maxProperties"),
        ({"minContains": -(10**30)}, "minContains"),
        ({"minimum": 10**4_000}, "minimum"),
        ({"maximum": float("nan")}, "maximum"),
        ({"multipleOf": -(10**4_299)}, "multipleOf"),
        ({"properties": {5: {}}}, "properties"),
        ({"properties": {"\ud800": {}}}, ""),
        ({"enum": ["\udfff"]}, ""),
        ({"title": "\ud800"}, ""),
    ],
    ids=_name,
)
def test_invalid_numbers_and_strings_are_refused_briefly(schema: Any, keyword: str) -> None:
    with pytest.raises(SchemaError) as refused:
        close_schema(schema, Limits())
    assert refused.value.keyword == keyword
    assert len(str(refused.value)) < 400
    str(refused.value).encode()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "multipleOf": 1_001},
        {"prefixItems": [{"type": "integer", "multipleOf": n} for n in (501, 502)]},
        {"type": "number", "multipleOf": 500.5},
    ],
    ids=_name,
)
def test_multiples_whose_automata_are_too_large_are_checked_instead(schema: Any) -> None:
    assert closed_schema(schema, Limits(), _BOUNDS).unbound == {"multipleOf"}
    assert not closed_schema(schema, Limits()).unbound


@pytest.mark.parametrize("width", [1, 2, 40])
@pytest.mark.parametrize("depth", [3, 30, 3_000])
def test_references_that_fan_out_are_resolved_or_refused(width: int, depth: int) -> None:
    refused = _refusal(_fan(width, depth), Limits(), ConstraintSettings())
    assert refused is None or "engine.constraints." in refused.message


def test_a_long_chain_of_references_never_reaches_native_code() -> None:
    """llguidance recurses along it, and would end the process."""
    chain = {f"d{n}": {"type": "array", "items": {"$ref": f"#/$defs/d{n + 1}"}} for n in range(2_000)}
    with pytest.raises(SchemaError, match="max_depth"):
        close_schema({"$defs": {**chain, "d2000": {"type": "null"}}, "$ref": "#/$defs/d0"}, Limits())


@pytest.mark.parametrize("count", [1, 2, 5, 300])
def test_finding_cycles_in_many_references_looks_at_each_once(count: int) -> None:
    definitions = {
        f"d{n}": {"properties": {f"p{m}": {"$ref": f"#/$defs/d{(n + m) % count}"} for m in range(1, 4)}}
        for n in range(count)
    }
    bounds = ConstraintSettings(max_parts=100)
    refused = _refusal({"$defs": definitions, "$ref": "#/$defs/d0"}, Limits(max_depth=1), bounds)
    assert refused is None or "max_parts" in refused.message


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr("parlant_local.engine.constraint.reading.time.thread_time", lambda: float(next(clock)))
    schema = {"properties": {str(n): {"enum": [n]} for n in range(900)}}
    with pytest.raises(SchemaError, match=r"2 s \(engine\.constraints\.compile_seconds\)"):
        close_schema(schema, Limits(), ConstraintSettings(compile_seconds=2))


def test_bounds_that_no_answer_reaches_are_lowered() -> None:
    closed = close_schema({"type": "string", "maxLength": 10**30}, Limits())
    assert closed["maxLength"] == ConstraintSettings().max_count
    assert close_schema({"type": "array", "maxItems": 1e30}, Limits())["maxItems"] == ConstraintSettings().max_count


@pytest.mark.parametrize(
    ("schema", "tokens"),
    [
        ({"type": "null"}, 1),
        ({"type": "string", "minLength": 9_000}, 9_001),
        ({"type": "array", "items": {"type": "null"}, "minItems": 9_000}, 9_002),
        (
            {
                "type": "array",
                "items": {"type": "array", "items": {"type": "null"}, "minItems": 9_000},
                "minItems": 9_000,
            },
            81_018_002,
        ),
        ({"type": "array", "items": {"type": "null"}}, 3),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}, 8),
    ],
    ids=_name,
)
def test_the_closing_cost_is_computed_without_building_an_instance(schema: Any, tokens: int) -> None:
    assert worst_case_closing(close_schema(schema, Limits()), len) == tokens
