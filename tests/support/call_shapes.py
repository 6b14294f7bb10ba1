"""Tools of many shapes, for calls that are bound to a syntax: whatever is drawn has to parse and validate."""

from __future__ import annotations

from typing import Any

__all__ = ["SHAPES"]


def _object(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), **more}


_TEXT = {"type": "string", "maxLength": 24}
_SHORT = {"type": "string", "maxLength": 8}
_PLACE = _object({"street": _SHORT, "number": {"type": "integer", "minimum": 0, "maximum": 999}}, "street")

SHAPES: dict[str, dict[str, Any]] = {
    "none": {"type": "object", "properties": {}, "additionalProperties": False},
    "types": _object(
        {
            "name": _TEXT,
            "zip": {"type": "string", "pattern": "^[0-9]{5}$"},
            "guests": {"type": "integer", "minimum": 1, "maximum": 12},
            "budget": {"type": "number"},
            "outside": {"type": "boolean"},
            "day": {"type": "string", "format": "date"},
            "note": {"anyOf": [{"type": "string", "maxLength": 12}, {"type": "null"}]},
        },
        "name",
        "guests",
    ),
    "optional": _object({"a": _SHORT, "b": {"type": "boolean"}, "c": {"type": ["integer", "null"]}}),
    "nested": _object(
        {"place": _PLACE, "trip": _object({"from": _PLACE, "to": {"anyOf": [_PLACE, {"type": "null"}]}}, "from", "to")},
        "place",
        "trip",
    ),
    "arrays": _object(
        {
            "dishes": {"type": "array", "items": _SHORT, "maxItems": 3},
            "numbers": {
                "type": "array",
                "items": {"type": "integer", "maximum": 99, "minimum": 0},
                "minItems": 1,
                "maxItems": 3,
            },
            "places": {"type": "array", "items": _PLACE, "maxItems": 2},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}, _SHORT], "items": False, "minItems": 2},
        },
        "dishes",
        "numbers",
    ),
    "enums": _object(
        {
            "meal": {"enum": ["lunch", "dinner", "late snack"]},
            "size": {"enum": [1, 2.5, "1", True, None, "null", "true", "[1]"]},
            "days": {"type": "array", "items": {"enum": ["mon", "tue", "wed"]}, "uniqueItems": True, "minItems": 1},
            "kind": {"anyOf": [{"const": "5"}, {"const": 7}]},
            "either": {
                "anyOf": [{"type": "string", "maxLength": 6}, {"type": "integer", "minimum": 100, "maximum": 999}]
            },
        },
        "meal",
        "size",
        "kind",
    ),
    "free": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
    "free and described": _object({"id": {"type": "integer"}}, "id", additionalProperties=_SHORT),
    "free by pattern": _object(
        {}, patternProperties={"^x_[a-z]{1,6}$": {"type": "boolean"}}, additionalProperties=False
    ),
    "dictionary within": _object(
        {"tags": {"type": "object", "additionalProperties": {"type": "integer"}}, "any": {}}, "tags", "any"
    ),
    "quotes": _object(
        {
            "say": {"enum": ['He said "it\'s"', "a\\b", "it's", '"', "'"]},
            "json": {"enum": ['{"a": 1}', "{x}", "[1, 2]}", "}]"]},
            "marks": {"enum": ["<b>", "</p>", "a < b > c", "&amp;", "<|x|>", "[/x]"]},
            "lines": {"enum": ["a\nb", "\n", " x ", "a\n\n  b\n"]},
            "text": {"type": "string", "pattern": "^[<>/\"'{}\\[\\]=,:& a]{1,12}$"},
        },
        "say",
        "json",
        "marks",
        "lines",
        "text",
    ),
    "alternatives": {
        "anyOf": [
            _object({"kind": {"const": "a"}, "text": _SHORT}, "kind", "text"),
            _object({"kind": {"const": "b"}, "count": {"type": "integer"}}, "kind", "count"),
        ]
    },
    "references": {
        "$defs": {
            "node": _object({"name": _SHORT, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "name")
        },
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/node"}},
        "required": ["node"],
    },
}
