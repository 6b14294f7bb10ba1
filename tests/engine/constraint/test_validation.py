"""The judge of answers: it agrees with ``jsonschema``, and no schema makes it slow, blind or wrong."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parlant_local.engine.constraint.validation import Validator
from parlant_local.errors import SchemaError
from parlant_local.settings import ConstraintSettings
from tests.support.hostile_schemas import HOSTILE_PATTERNS
from tests.support.watching import Watch


@pytest.mark.parametrize(
    ("schema", "value", "violation"),
    [
        ({"type": "integer"}, 1.0, None),
        ({"type": "integer"}, True, "at $ the rule 'type' is broken"),
        ({"const": 1}, True, "at $ the rule 'const' is broken"),
        ({"enum": [{"a": [1, 2.0]}]}, {"a": [1.0, 2]}, None),
        ({"properties": {"a": {"items": {"minimum": 3}}}}, {"a": [3, 2]}, "at $.a[1] the rule 'minimum' is broken"),
        ({"multipleOf": 0.01}, 19.99, None),
        ({"multipleOf": 1e-300}, 1e308, None),
        ({"maxLength": 1}, "😀", None),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}], None),
        ({"uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], "at $ the rule 'uniqueItems' is broken"),
        ({"contains": {"const": 1}, "maxContains": 1}, [1, 1], "at $ the rule 'contains' is broken"),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, "at $ the rule 'maxLength' is broken"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "at $ the rule 'dependentRequired' is broken"),
        ({"dependencies": {"a": {"required": ["b"]}}}, {"a": 1}, "at $ the rule 'required' is broken"),
        ({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}, 1, "at $ the rule 'minimum' is broken"),
        ({"not": {"type": "string"}}, "a", "at $ the rule 'not' is broken"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, 3, "at $ the rule 'oneOf' is broken"),
        (
            {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
            {"a": 1, "b": 1},
            "at $ the rule 'unevaluatedProperties' is broken",
        ),
        ({"prefixItems": [{}], "unevaluatedItems": False}, [1, 2], "at $ the rule 'unevaluatedItems' is broken"),
        ({"additionalProperties": False, "patternProperties": {"^x": {}}}, {"xa": 1}, None),
        ({"items": [{"type": "null"}], "additionalItems": False}, [None, 1], "at $ the rule 'items' is broken"),
        ({"minimum": 3, "exclusiveMinimum": True}, 3, "at $ the rule 'exclusiveMinimum' is broken"),
        ({"$defs": {"a": {"$anchor": "x", "type": "null"}}, "$ref": "#x"}, None, None),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a", "type": "string",
          "definitions": {"a": {"type": "null"}}}, None, None),
        ({"format": "date"}, "tomorrow", None),
    ],
    ids=str,
)  # fmt: skip
def test_a_violation_names_its_path_and_its_keyword(schema: Any, value: Any, violation: str | None) -> None:
    assert Validator(schema).violation(value) == violation


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from([0.5, 1.0, "", "a", "ab", "b1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "ab"]), inner, max_size=3),
    max_leaves=6,
)
_RULES: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(
        ["object", "array", "string", "integer", "number", "null", ["string", "null"], ["integer", "array"]]
    ),
    "const": _VALUES,
    "enum": st.lists(_VALUES, min_size=1, max_size=3),
    "minimum": st.integers(-3, 5),
    "exclusiveMaximum": st.integers(0, 5),
    "multipleOf": st.sampled_from([1, 2, 0.5]),
    "minLength": st.integers(0, 2),
    "maxLength": st.integers(0, 2),
    "pattern": st.sampled_from(["a", "^b", "[0-9]$"]),
    "minItems": st.integers(0, 2),
    "maxItems": st.integers(0, 3),
    "uniqueItems": st.booleans(),
    "minProperties": st.integers(0, 2),
    "maxProperties": st.integers(0, 2),
    "required": st.lists(st.sampled_from(["a", "b"]), unique=True),
    "dependentRequired": st.just({"a": ["b"]}),
    "minContains": st.integers(0, 2),
    "maxContains": st.integers(0, 2),
}


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts: dict[str, st.SearchStrategy[Any]] = {
        **_RULES,
        **dict.fromkeys(
            ("items", "contains", "not", "if", "then", "else", "additionalProperties", "propertyNames"), inner
        ),
        **dict.fromkeys(("unevaluatedProperties", "unevaluatedItems"), inner),
        **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), st.lists(inner, min_size=1, max_size=3)),
        "properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=2),
        "dependentSchemas": st.dictionaries(st.just("a"), inner, max_size=1),
        "$ref": st.sampled_from(["#/$defs/leaf", "#/$defs/list"]),
    }
    return st.lists(st.sampled_from(sorted(parts)), min_size=1, max_size=4, unique=True).flatmap(
        lambda keys: st.fixed_dictionaries({key: parts[key] for key in keys})
    )


@given(
    st.recursive(st.booleans() | _schemas(st.booleans()), _schemas, max_leaves=5),
    st.lists(_VALUES, min_size=1, max_size=5),
)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_it_agrees_with_jsonschema(schema: Any, values: list[Any]) -> None:
    definitions = {"leaf": {"type": "integer"}, "list": {"type": "array", "items": {"$ref": "#/$defs/leaf"}}}
    schema = {"$defs": definitions, "allOf": [schema]} if isinstance(schema, bool) else {**schema, "$defs": definitions}
    judge, peer = Validator(schema), jsonschema.Draft202012Validator(schema)
    for value in values:
        assert (judge.violation(value) is None) == peer.is_valid(value), (schema, value)


@pytest.mark.parametrize("pattern", HOSTILE_PATTERNS, ids=lambda pattern: ascii(pattern[:30]))
@pytest.mark.parametrize(
    "schema",
    [
        lambda pattern: {"pattern": pattern},
        lambda pattern: {
            "properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": pattern}}
        },
        lambda pattern: {"patternProperties": {pattern: False}},
        lambda pattern: {"additionalProperties": False, "patternProperties": {pattern: {}}},
        lambda pattern: {"unevaluatedProperties": False, "anyOf": [{"patternProperties": {pattern: {}}}]},
        lambda pattern: {"propertyNames": {"pattern": pattern}},
    ],
)
def test_hostile_patterns_do_not_block(pattern: str, schema: Any) -> None:
    with Watch() as watch:
        for value in ("a" * 3_000 + "!", {"a": "a" * 3_000 + "!"}, {"a" * 3_000 + "!": 1}):
            try:
                Validator(schema(pattern)).violation(value)
            except SchemaError as refused:
                assert refused.keyword in ("pattern", "")  # noqa: PT017  # most are decided
    assert not watch.kept_the_lock
    assert watch.grown < 256 * 1024 * 1024


def _fan(width: int, depth: int, key: str) -> Any:
    definitions: dict[str, Any] = {f"d{n}": {key: [{"$ref": f"#/$defs/d{n + 1}"}] * width} for n in range(depth)}
    return {"$defs": {**definitions, f"d{depth}": {"type": "null"}}, "$ref": "#/$defs/d0"}


def test_long_answers_and_wide_schemas_end_in_an_error_in_time() -> None:
    wide = {"items": {"anyOf": [{"const": number} for number in range(400)]}}
    with pytest.raises(SchemaError, match="compile_seconds"):
        Validator(wide, ConstraintSettings(compile_seconds=0.1)).violation([1] * 20_000)


def test_deeply_nested_answers_and_schemas_do_not_crash() -> None:
    deep: Any = None
    for _ in range(5_000):
        deep = [deep]
    assert Validator({"items": {"$ref": "#"}}).violation(deep) == "it nests too deeply to be checked"
    assert Validator({"$ref": "#"}).violation(1) == "it nests too deeply to be checked"
    with pytest.raises(SchemaError, match="max_depth"):
        Validator({"not": deep})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/x"},
        {"$ref": "#/$defs/no"},
        {"$ref": "#no"},
        {"$dynamicRef": "no"},
        {"$ref": "file:///etc/passwd"},
    ],
    ids=str,
)
def test_nothing_is_fetched(schema: Any) -> None:
    with pytest.raises(SchemaError) as refused:
        Validator(schema).violation(1)
    assert refused.value.keyword == "$ref"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": {"a": {"minLength": -1}}},
        {"$defs": {"a": {"anyOf": []}}},
        {"items": 5},
        {"$id": 5, "type": []},
    ],
    ids=str,
)
def test_an_invalid_subschema_is_refused_at_any_position(schema: Any) -> None:
    with pytest.raises(SchemaError):
        Validator(schema)


@pytest.mark.parametrize("extra", [{}, {"$id": "https://example.org/a"}, {"$dynamicAnchor": "a"}])
@pytest.mark.parametrize("word", ["oneOf", "anyOf", "allOf"])
def test_references_that_fan_out_are_followed_once(word: str, extra: dict[str, str]) -> None:
    parts: dict[str, Any] = {"d0": {"enum": ["a", "b"]}}
    for level in range(1, 90):
        parts[f"d{level}"] = {word: [{"$ref": f"#/$defs/d{level - 1}"}] * 2}
    bounds = ConstraintSettings(compile_seconds=10)  # followed each time, it would take longer than the universe is old
    schema = {**extra, "$defs": parts, "$ref": "#/$defs/d89"}
    wanted = "at $ the rule 'oneOf' is broken" if word == "oneOf" else None
    assert Validator(schema, bounds).violation("a") == wanted
    assert Validator(schema, bounds).violation("c") is not None


def test_a_memoised_verdict_does_not_apply_at_another_position() -> None:
    schema = {
        "$defs": {"a": {"type": "integer"}},
        "properties": {"x": {"$ref": "#/$defs/a"}, "y": {"$ref": "#/$defs/a"}},
    }
    assert Validator(schema).violation({"x": 1, "y": "1"}) == "at $.y the rule 'type' is broken"
    twice: list[Any] = ["1"] * 2
    listed = {
        "$defs": {"a": {"type": "integer"}},
        "not": {"prefixItems": [{"$ref": "#/$defs/a"}]},
        "items": {"$ref": "#/$defs/a"},
    }
    assert Validator(listed).violation(twice) == "at $[0] the rule 'type' is broken"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 3),
        ({"items": {"oneOf": [{"type": "boolean"}, {"const": True}]}}, [True]),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 1}),
    ],
    ids=str,
)
def test_branches_that_overlap_may_be_taken_as_any_of_them(schema: Any, value: Any) -> None:
    assert "oneOf" in (Validator(schema).violation(value) or "")
    assert Validator(schema, overlapping=True).violation(value) is None
    assert "oneOf" in (Validator({"oneOf": [{"type": "null"}]}, overlapping=True).violation(1) or "")
