"""Schemas, grammars and patterns as a hostile client would write them: few choices each, however large what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

__all__ = ["HOSTILE_GRAMMARS", "HOSTILE_KINDS", "HOSTILE_PATTERNS", "hostile_grammars", "hostile_schemas"]

HOSTILE_PATTERNS = (
    "^(a+)+$",
    "^(a|aa)+$",
    "(x+x+)+y",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(.*)*a(.*)*b(.*)*c",
    "^((a{1,100}){1,100}){1,100}$",
    "^(a{1,9999}){1,9999}$",
    "((.{1,100}){1,100}x){1,100}",
    "(a|b)*a(a|b){300}c",
    "^\\w{1,9999}\\d{1,9999}$",
    "^[\\p{L}\\p{N}]{1,999}$",
    "^(?=(a+)+$)a",
    "^(?!(a|aa)*b)[a-z]*$",
    "(a+)+(?<!b)$",
    "^(a*)*\\1$",
    "a{999999999}",
    "(((((((((((((((((((((((((((((((((((((((a)))))))))))))))))))))))))))))))))))))))*",
    "|".join(f".*{chr(97 + place % 26)}.{{{place}}}" for place in range(40, 80)),
    "a?" * 400 + "a" * 400,
    "\\w?\\s?.?" * 200 + "x$",
    "[" * 60,
    "\\u{110000}",
    "\\ud800",
)

_COUNTS = st.one_of(
    st.integers(-3, 64),
    st.sampled_from(
        [10**4, 10**5, 10**8, 2 * 10**8, 2**31, 2**63, 10**30, 10**400, 1e30, 1e308, float("inf"), 0.5, True, "9"]
    ),
)
_NUMBERS = st.one_of(
    st.floats(),
    st.integers(-(10**30), 10**30),
    st.sampled_from(
        [10**400, -(10**400), 10**4000, 1e-300, 5e-324, 1.7e308, 9999991, 99999999977, 0.0007, 2**63 - 1, -(2**63)]
    ),
)
_SIZES = st.sampled_from([2, 10, 60, 300, 1_500, 6_000, 30_000])
_DEEP = st.sampled_from([3, 20, 90, 300, 3_000])
_PATTERNS = st.sampled_from(HOSTILE_PATTERNS)
_LEAVES: tuple[Any, ...] = (
    {"type": "string"},
    {"type": "integer"},
    {"type": "number"},
    {},
    {"enum": ["a", 1, None]},
    True,
)
_LEAF = st.sampled_from(_LEAVES)


def _nested(depth: int, leaf: Any, wrap: Callable[[Any], Any]) -> Any:
    for _ in range(depth):
        leaf = wrap(leaf)
    return leaf


_WRAPS: tuple[Callable[[Any], Any], ...] = (
    lambda inner: {"type": "array", "items": inner},
    lambda inner: {"type": "object", "properties": {"a": inner}, "required": ["a"]},
    lambda inner: {"anyOf": [inner, {"type": "null"}]},
    lambda inner: {"allOf": [inner, {"minLength": 1}]},
    lambda inner: {"type": "object", "additionalProperties": inner},
    lambda inner: {"not": inner},
    lambda inner: {"prefixItems": [inner, inner]},
)

_wide = st.builds(
    lambda size, leaf, required: {
        "type": "object",
        "properties": {f"name {place}": leaf for place in range(size)},
        "required": [f"name {place}" for place in range(size)] if required else [],
    },
    _SIZES,
    _LEAF,
    st.booleans(),
)
_deep = st.builds(lambda depth, leaf, wrap: _nested(depth, leaf, wrap), _DEEP, _LEAF, st.sampled_from(_WRAPS))
_branching = st.builds(
    lambda key, size, tagged, shared: {
        key: [
            {
                "type": "object",
                "properties": {"kind": {"const": place if tagged else place % 7}, "x": {"type": "integer"}},
                "required": ["kind"] if tagged else ["x"],
            }
            for place in range(size)
        ],
        **({"properties": {"shared": {"type": "string"}}} if shared else {}),
    },
    st.sampled_from(["anyOf", "oneOf", "allOf"]),
    _SIZES,
    st.booleans(),
    st.booleans(),
)
_listing = st.builds(
    lambda size, width, deep: {
        "enum": [_nested(deep, "x" * width + str(place), lambda inner: [inner]) for place in range(size)]
    },
    _SIZES,
    st.sampled_from([1, 20, 20_000]),
    st.sampled_from([0, 2]),
)
_patterned = st.one_of(
    st.builds(
        lambda pattern, n: {"type": "string", "pattern": pattern, "minLength": n}, _PATTERNS, st.integers(0, 999)
    ),
    st.builds(lambda pattern, text: {"enum": [text, "b" + text], "pattern": pattern}, _PATTERNS, st.text(max_size=40)),
    st.builds(lambda pattern: {"enum": ["a" * 60 + "!", "x" * 5_000], "pattern": pattern}, _PATTERNS),
    st.builds(
        lambda pattern: {
            "allOf": [
                {"properties": {"a" * 60 + "!": {"type": "string"}}},
                {"patternProperties": {pattern: {"minLength": 2}}},
            ]
        },
        _PATTERNS,
    ),
    st.builds(lambda pattern: {"type": "object", "patternProperties": {pattern: {"type": "integer"}}}, _PATTERNS),
    st.builds(lambda pattern: {"type": "object", "propertyNames": {"pattern": pattern}}, _PATTERNS),
    st.builds(
        lambda pattern, size: {
            "type": "object",
            "properties": {f"p{place}": {"type": "string", "pattern": f"{pattern}{place}"} for place in range(size)},
        },
        _PATTERNS,
        st.sampled_from([30, 300]),
    ),
)
_counting = st.dictionaries(
    st.sampled_from(
        ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains"]
    ),
    _COUNTS,
    min_size=1,
    max_size=4,
).flatmap(
    lambda counts: st.sampled_from(
        [
            {"type": "string", **counts},
            {"type": "array", "items": {"type": "integer"}, **counts},
            {"type": "object", "additionalProperties": {"type": "string"}, **counts},
            {"type": "object", "properties": {f"p{place}": {} for place in range(60)}, **counts},
        ]
    )
)
_numeric = st.dictionaries(
    st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]), _NUMBERS, min_size=1
).flatmap(
    lambda bounds: st.sampled_from(
        [
            {"type": "number", **bounds},
            {"type": "integer", **bounds},
            {"enum": [0, 1, 10**30, 1e308, 5e-324], **bounds},
            {
                "type": "object",
                "properties": {
                    f"p{place}": {"type": "number", **bounds, "multipleOf": 9973 + place} for place in range(60)
                },
            },
        ]
    )
)


def _chain(size: int, width: int, wrap: Callable[[list[Any]], Any], *, closed: bool) -> dict[str, Any]:
    definitions = {
        f"d{place}": wrap([{"$ref": f"#/$defs/d{place + 1}"} for _ in range(width)]) for place in range(size)
    }
    definitions[f"d{size}"] = {"$ref": "#/$defs/d0"} if closed else {"type": "null"}
    return {"$defs": definitions, "$ref": "#/$defs/d0"}


_referring = st.builds(
    lambda size, width, wrap, closed: _chain(size, width, wrap, closed=closed),
    st.sampled_from([3, 30, 200, 2_000]),
    st.sampled_from([1, 2, 5]),
    st.sampled_from(
        [
            lambda parts: {"allOf": parts},
            lambda parts: {"anyOf": parts},
            lambda parts: {"oneOf": parts},
            lambda parts: {"prefixItems": parts},
            lambda parts: {"properties": {f"p{place}": part for place, part in enumerate(parts)}},
            lambda parts: {"properties": {"p": parts[0]}, "required": ["p"]},
            lambda parts: {**parts[0], "minLength": 1},
            lambda parts: {"not": parts[0]},
            lambda parts: parts[0],
        ]
    ),
    st.booleans(),
)
_contradictory = st.sampled_from(
    [
        {"type": "integer", "minimum": 5, "maximum": 2},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "array", "items": False, "minItems": 3},
        {"type": "string", "pattern": "^a$", "minLength": 7},
        {"not": {}},
        {"anyOf": [False, False]},
        {"type": "array", "uniqueItems": True, "items": {"type": "boolean"}, "minItems": 9},
        {"$ref": "#"},
        {"enum": []},
    ]
)
_odd = st.recursive(
    st.none() | st.booleans() | _COUNTS | _NUMBERS | st.text("a#/$\ud800\U0001f600", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                "type enum const properties required items prefixItems anyOf oneOf allOf not if then else $ref $id $anchor "
                "$dynamicRef $defs minimum maxLength pattern format additionalProperties patternProperties propertyNames "
                "minItems multipleOf uniqueItems contains dependentRequired dependentSchemas unevaluatedProperties".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=16,
)
_tall_names = st.builds(
    lambda size, count: {"type": "object", "properties": {"n" * size + str(place): {} for place in range(count)}},
    st.sampled_from([200, 9_000, 400_000]),
    st.sampled_from([1, 20]),
)

HOSTILE_KINDS: dict[str, st.SearchStrategy[Any]] = {
    "wide": _wide,
    "deep": _deep,
    "branching": _branching,
    "listing": _listing,
    "patterned": _patterned,
    "counting": _counting,
    "numeric": _numeric,
    "referring": _referring,
    "contradictory": _contradictory,
    "odd": _odd,
    "long names": _tall_names,
}


def hostile_schemas() -> st.SearchStrategy[tuple[str, Any]]:
    """A kind's name, and a schema of it; now and then several within one."""
    one = st.sampled_from(sorted(HOSTILE_KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), HOSTILE_KINDS[kind]))
    several = st.lists(one, min_size=2, max_size=3).map(
        lambda pairs: (
            " in ".join(kind for kind, _ in pairs),
            {"type": "object", "properties": {f"p{place}": schema for place, (_, schema) in enumerate(pairs)}},
        )
    )
    return st.one_of(one, one, one, several)


HOSTILE_GRAMMARS: tuple[str, ...] = (
    'start: e\ne: e e e | e e | "" | /[a-z]/\n',
    'start: a{1,9999}\na: b{1,9999}\nb: c{1,9999}\nc: "x" | "y"\n',
    'start: a{99999999}\na: "x"\n',
    "start: A0\n" + "".join(f"A{place}: A{place + 1} A{place + 1}\n" for place in range(60)) + 'A60: "y"\n',
    "start: a0\n" + "".join(f'a{place}: "x" a{place + 1}\n' for place in range(3_000)) + 'a3000: "y"\n',
    "start: " + "(" * 20_000 + '"a"' + ")" * 20_000 + "\n",
    "start: A\nA: /(.|\\n)*a(.|\\n){100}/ & ~/(.|\\n)*b(.|\\n){150}/ & /(.|\\n)*c(.|\\n){120}/\n",
    "start: /" + "a?" * 20_000 + "a" * 20_000 + "/\n",
    "start: /" + "a?" * 500 + "a" * 500 + "/\n",
    'start: %json {"type": "integer", "multipleOf": 9999991}\n',
    'start: %json {"type": "array", "minItems": 200000000}\n',
    "start: " + " | ".join(f'"{place}"' for place in range(50_000)) + "\n",
    'root ::= root root | "a"\n',
    "root ::= " + "(" * 5_000 + '"a"' + ")" * 5_000 + "\n",
    "root ::= [a-z]{1,100000000}\n",
    "".join(f'root{place} ::= "a" root{place + 1}\n' for place in range(3_000)),
    "start: \ud800\n",
    "x" * 10_000_000,
)


def hostile_grammars() -> st.SearchStrategy[str]:
    return st.sampled_from(HOSTILE_GRAMMARS)
