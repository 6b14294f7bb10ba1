"""JSON Schema's keywords: which ones constrain, and what their values must look like."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from parlant_local.engine.constraint.bounds import exceeded, shown
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import ConstraintSettings

__all__ = [
    "KEYWORDS_BY_TYPE",
    "TYPES",
    "Schema",
    "every_subschema",
    "placed_subschemas",
    "subschemas",
    "validated_keywords",
]

Schema = dict[str, Any]

KEYWORDS_BY_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset(
        {
            "properties",
            "additionalProperties",
            "required",
            "patternProperties",
            "propertyNames",
            "minProperties",
            "maxProperties",
            "dependentRequired",
            "dependentSchemas",
            "unevaluatedProperties",
        }
    ),
    "array": frozenset(
        {
            "items",
            "prefixItems",
            "minItems",
            "maxItems",
            "uniqueItems",
            "contains",
            "minContains",
            "maxContains",
            "unevaluatedItems",
        }
    ),
    "string": frozenset({"pattern", "minLength", "maxLength", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}
"""The keywords that apply to each type."""

_LARGEST = sys.float_info.max  # larger numbers overflow in every parser that reads JSON numbers as floats

TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})


def _is_schema(value: Any) -> bool:
    return isinstance(value, Mapping | bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= value // 1 == value


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
        return value in TYPES
    return bool(value) and _is_list_of(lambda item: isinstance(item, str) and item in TYPES)(value)


_BRANCHES = ("anyOf", "oneOf", "allOf")
_ONE_SCHEMA = (
    *("additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"),
    *("unevaluatedProperties", "unevaluatedItems", "additionalItems"),
)
_SCHEMA_MAPS = ("properties", "patternProperties", "dependentSchemas", "dependencies")
_DEFINITIONS = ("$defs", "definitions")

_CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "type": (f"one of {', '.join(sorted(TYPES))}, or a list of them", _is_type),
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
    **dict.fromkeys(_ONE_SCHEMA, ("a schema", _is_schema)),
    **{key: ("names with schemas", _is_map_of(_is_schema)) for key in _SCHEMA_MAPS},
    **{key: ("a list of schemas", lambda v: _is_list_of(_is_schema)(v) and bool(v)) for key in _BRANCHES},
    **dict.fromkeys(
        (
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "minContains",
            "maxContains",
        ),
        ("a whole number from 0 on", _is_count),
    ),
    **dict.fromkeys(("minimum", "maximum"), ("a number", _is_number)),
    **dict.fromkeys(
        ("exclusiveMinimum", "exclusiveMaximum"),
        ("a number", lambda value: isinstance(value, bool) or _is_number(value)),
    ),
    **dict.fromkeys(("$dynamicRef", "$recursiveRef"), ("a text", _is_text)),
    "discriminator": ("a property's name", lambda _: True),
    "dependentRequired": ("names with lists of names", _is_map_of(_is_list_of(_is_text))),
    "dependencies": (
        "names with lists of names or schemas",
        _is_map_of(lambda value: _is_schema(value) or _is_list_of(_is_text)(value)),
    ),
}


_SIZE_SETTINGS = {
    "anyOf": "max_branches",
    "oneOf": "max_branches",
    "allOf": "max_branches",
    "enum": "max_values",
    "required": "max_properties",
    "properties": "max_properties",
    "patternProperties": "max_properties",
    "prefixItems": "max_properties",
    "items": "max_properties",
}
"""The setting that limits how many parts a keyword may have."""
_MINIMUM_COUNTS = ("minLength", "minItems", "minProperties")
_COUNTS = (*_MINIMUM_COUNTS, "maxLength", "maxItems", "maxProperties", "minContains", "maxContains")


def validated_keywords(schema: Mapping[str, Any], bounds: ConstraintSettings) -> Schema:
    """The keywords of ``schema`` that constrain it; annotations and extensions are left out.

    Raises :class:`SchemaError` naming the first one whose value makes no sense, or exceeds ``bounds``.
    """
    result: Schema = {}
    for key, value in schema.items():
        known = _CHECKS.get(key)
        if known is None or (value is None and key != "const") or (key == "required" and isinstance(value, bool)):
            continue  # null counts as absent; a boolean required (draft 3) belongs to the enclosing object
        if key == "type":
            value = _lowercase_type(value)
        wanted, holds = known
        if not holds(value):
            raise SchemaError(f"The schema's {key} is {shown(value)}; it must be {wanted}.", keyword=key)
        result[key] = _bounded(key, value, bounds)
    if marked := _draft3_required(result):
        result["required"] = [*result.get("required", ()), *marked]
    _to_2020_12(result)
    if result.get("uniqueItems") is False:
        del result["uniqueItems"]
    tag = result.get("discriminator")  # an OpenAPI keyword, an annotation elsewhere: never a reason to refuse
    if tag is not None and not (isinstance(tag, Mapping) and isinstance(tag.get("propertyName"), str)):
        del result["discriminator"]
    return result


def _lowercase_type(value: Any) -> Any:
    """Gemini clients write types in capitals."""
    if isinstance(value, str):
        return value.lower() if value.isupper() else value
    return [_lowercase_type(item) for item in value] if isinstance(value, list | tuple) else value


def _draft3_required(schema: Schema) -> list[str]:
    """Properties marked ``required: true`` themselves, as in draft 3."""
    marked = [
        name
        for name, part in schema.get("properties", {}).items()
        if isinstance(part, Mapping) and part.get("required") is True
    ]
    return [name for name in marked if name not in schema.get("required", ())]


def _to_2020_12(schema: Schema) -> None:
    """Rewrites keywords of earlier drafts as draft 2020-12 has them."""
    more = schema.pop("additionalItems", None)
    if isinstance(schema.get("items"), list | tuple):
        schema["prefixItems"] = list(schema.pop("items"))
        if more is not None:
            schema["items"] = more
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:  # draft 4
            schema[exclusive] = schema.pop(bound)
    for name, wanted in schema.pop("dependencies", {}).items():
        key = "dependentSchemas" if _is_schema(wanted) else "dependentRequired"
        schema[key] = {**schema.get(key, {}), name: wanted}


def every_subschema(schema: Any) -> Iterator[Mapping[str, Any]]:
    """``schema`` and every subschema, definitions included; iterative, so that no depth overflows the stack."""
    stack = [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            yield part
            stack.extend(inner for _, inner in placed_subschemas(part))


def _bounded(key: str, value: Any, bounds: ConstraintSettings) -> Any:
    setting = _SIZE_SETTINGS.get(key)
    if setting and not isinstance(value, bool) and len(value) > getattr(bounds, setting):
        raise exceeded(
            f"The schema's {key} has {len(value)} parts; {{}} is the limit",
            setting,
            getattr(bounds, setting),
            keyword=key,
        )
    if key in _MINIMUM_COUNTS and value > bounds.max_count:
        raise exceeded(f"The schema's {key} is more than {{}}", "max_count", bounds.max_count, keyword=key)
    return int(value) if key in _COUNTS else value


def placed_subschemas(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The direct subschemas of ``schema``, definitions included, each with its path."""
    for key in (*_SCHEMA_MAPS, *_DEFINITIONS):
        if isinstance(inner := schema.get(key), Mapping):
            yield from (((key, name), part) for name, part in inner.items())
    for key in (*_BRANCHES, "prefixItems", "items"):
        if isinstance(inner := schema.get(key), list | tuple):
            yield from (((key, place), part) for place, part in enumerate(inner))
    for key in ("items", *_ONE_SCHEMA):
        if isinstance(inner := schema.get(key), Mapping):
            yield (key,), inner


def subschemas(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The direct subschemas, definitions left out."""
    return (part for path, part in placed_subschemas(schema) if path[0] not in _DEFINITIONS)
