"""The words of JSON Schema: which ones bind, and what their values must look like."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from parlant_local.errors import SchemaError

__all__ = ["OWN", "Schema", "subschemas", "vetted"]

Schema = dict[str, Any]

OWN: Mapping[str, frozenset[str]] = {
    "object": frozenset(
        {
            "properties",
            "additionalProperties",
            "required",
            "patternProperties",
            "propertyNames",
            "minProperties",
            "maxProperties",
        }
    ),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"}),
    "string": frozenset({"pattern", "minLength", "maxLength", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}
"""Which keywords speak of which type."""

_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})


def _is_schema(value: Any) -> bool:
    return isinstance(value, Mapping | bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(check(item) for item in value)


def _is_map_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping) and all(isinstance(key, str) and check(item) for key, item in value.items())
    )


def _is_type(value: Any) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return bool(value) and _is_list_of(lambda item: isinstance(item, str) and item in _TYPES)(value)


_BRANCHES = ("anyOf", "oneOf", "allOf")
_ONE_SCHEMA = ("additionalProperties", "propertyNames", "contains", "not", "if", "then", "else")
_SCHEMA_MAPS = ("properties", "patternProperties")

_CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "type": (f"one of {', '.join(sorted(_TYPES))}, or a list of them", _is_type),
    "enum": ("a list", lambda value: isinstance(value, list | tuple)),
    "const": ("a value", lambda _: True),
    "$ref": ("a text", _is_text),
    "required": ("a list of names", _is_list_of(_is_text)),
    "items": ("a schema", lambda value: _is_schema(value) or _is_list_of(_is_schema)(value)),
    "prefixItems": ("a list of schemas", _is_list_of(_is_schema)),
    "uniqueItems": ("true or false", lambda value: isinstance(value, bool)),
    "pattern": ("a text", _is_text),
    "format": ("a text", _is_text),
    "multipleOf": ("a number above 0", lambda value: _is_number(value) and value > 0),
    **dict.fromkeys((*_ONE_SCHEMA, "unevaluatedProperties", "unevaluatedItems"), ("a schema", _is_schema)),
    **{key: ("names with schemas", _is_map_of(_is_schema)) for key in (*_SCHEMA_MAPS, "dependentSchemas")},
    **{key: ("a list of schemas", lambda v: _is_list_of(_is_schema)(v) and bool(v)) for key in _BRANCHES},
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        ("a whole number from 0 on", _is_count),
    ),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minContains", "maxContains"),
        ("a number", _is_number),
    ),
    **{key: ("what JSON Schema says", lambda _: True) for key in ("dependentRequired", "dependencies", "$dynamicRef")},
}


def vetted(schema: Mapping[str, Any]) -> Schema:
    """The keywords of ``schema`` that bind, annotations and extensions left out.

    Raises :class:`SchemaError` naming the first one whose value makes no sense.
    """
    result: Schema = {}
    for key, value in schema.items():
        known = _CHECKS.get(key)
        if known is None:
            continue
        wanted, holds = known
        if not holds(value):
            raise SchemaError(f"The schema's {key} is {value!r}; it must be {wanted}.", keyword=key)
        result[key] = value
    if isinstance(result.get("items"), list | tuple):  # drafts before 2020-12 wrote tuples so
        result["prefixItems"] = list(result.pop("items"))
        if "additionalItems" in schema:
            result["items"] = schema["additionalItems"]
    if result.get("uniqueItems") is False:
        del result["uniqueItems"]
    return result


def subschemas(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas that stand directly in ``schema``, definitions left out."""
    for key in _SCHEMA_MAPS:
        if isinstance(schema.get(key), Mapping):
            yield from schema[key].values()
    for key in (*_BRANCHES, "prefixItems"):
        if isinstance(schema.get(key), list | tuple):
            yield from schema[key]
    items = schema.get("items")
    yield from items if isinstance(items, list | tuple) else [items]
    for key in _ONE_SCHEMA:
        yield schema.get(key)
