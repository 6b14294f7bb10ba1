"""Merges ``allOf`` into one schema."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from parlant_local.engine.constraint.bounds import shown
from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import Schema
from parlant_local.engine.constraint.references import References
from parlant_local.engine.constraint.values import exact, identity
from parlant_local.engine.patterns import AllPatterns, matches

__all__ = ["merged"]

_TAKING_LARGER = frozenset({"minimum", "minLength", "minItems", "exclusiveMinimum", "minProperties"})
_TAKING_SMALLER = frozenset({"maximum", "maxLength", "maxItems", "exclusiveMaximum", "maxProperties"})
_CONJOINED = frozenset({"additionalProperties", "propertyNames", "items", "unevaluatedItems", "unevaluatedProperties"})
_CHECKED = frozenset({"contains", "minContains", "maxContains", "$dynamicRef", "$recursiveRef"})
"""Where two parts differ, the first is enforced and the answer is validated against both."""


def merged(schema: Mapping[str, Any], references: References, merged_references: set[str] | None = None) -> Schema:
    """The conjunction of ``schema`` and its ``allOf``: the tighter of two bounds, every property and required name.

    Raises :class:`Impossible` where nothing satisfies two parts.
    """
    merged_references = (
        set() if merged_references is None else merged_references
    )  # references merged already: merging one again changes nothing
    parts: list[Schema] = []
    for part in ({key: value for key, value in schema.items() if key != "allOf"}, *schema["allOf"]):
        if part is False:
            raise Impossible("allOf", "its allOf allows nothing.")
        if part is True:
            continue
        references.reading.part()
        if "$ref" in part and len(part) == 1:
            if part["$ref"] in merged_references:
                continue
            merged_references.add(str(part["$ref"]))
        whole = references.read(references.followed(part))
        parts.append(merged(whole, references, merged_references) if "allOf" in whole else whole)
    result: Schema = {}
    if properties := _properties(parts, references):
        result["properties"] = properties
    if first := _prefix_items(parts):
        result["prefixItems"] = first
    required: dict[str, None] = {}
    for part in parts:
        references.reading.step()
        for key, value in part.items():
            if key in ("properties", "prefixItems"):
                continue
            if key == "required":
                required.update(dict.fromkeys(value))
            elif key in result and not _equal(result[key], value):
                result[key] = _narrower(key, result[key], value, references)
            else:
                result[key] = value
    return {**result, "required": list(required)} if required else result


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are equal in JSON, where 1 and true differ."""
    return one is other or (type(one) is type(other) and bool(one == other) and not isinstance(one, AllPatterns))


def _conjunction(schemas: list[Any]) -> Any:
    """One schema that requires all of several."""
    if False in schemas:
        return False
    schemas = [schema for schema in schemas if schema is not True]
    return (schemas[0] if len(schemas) == 1 else {"allOf": schemas}) if schemas else True


def _properties(parts: list[Schema], references: References) -> Schema:
    """Every property that any part names, with what all parts require of it."""
    names = dict.fromkeys(name for part in parts for name in part.get("properties", ()))
    return {
        name: _conjunction([schema for part in parts for schema in _schemas_for(part, name, references)])
        for name in names
    }


def _schemas_for(part: Schema, name: str, references: References) -> list[Any]:
    references.reading.step()
    found = [part["properties"][name]] if name in part.get("properties", {}) else []
    if "patternProperties" in part:
        bounds = references.reading.bounds
        found += [schema for pattern, schema in part["patternProperties"].items() if matches(pattern, name, bounds)]
    return found or [part.get("additionalProperties", True)]


def _prefix_items(parts: list[Schema]) -> list[Any]:
    longest = max((len(part.get("prefixItems", ())) for part in parts), default=0)
    return [
        _conjunction(
            [
                part["prefixItems"][index] if index < len(part.get("prefixItems", ())) else part.get("items", True)
                for part in parts
            ]
        )
        for index in range(longest)
    ]


def _narrower(key: str, one: Any, other: Any, references: References) -> Any:
    if key in _TAKING_LARGER:
        return max(one, other)
    if key in _TAKING_SMALLER:
        return min(one, other)
    if key in _CONJOINED:
        return _conjunction([one, other])
    if key in _CHECKED or key in ("format", "discriminator"):
        if key in _CHECKED:
            references.reading.unbound.add(key)
        return one
    match key:
        case "enum":
            listed = {identity(value) for value in other}
            return [value for value in one if identity(value) in listed]
        case "uniqueItems":
            return True
        case "not":
            return {"anyOf": [one, other]}
        case "pattern":
            return AllPatterns.of(one, other)
        case "multipleOf":
            return _common_multiple(one, other)
        case "patternProperties":
            return {
                pattern: _conjunction([part[pattern] for part in (one, other) if pattern in part])
                for pattern in dict.fromkeys((*one, *other))
            }
        case "anyOf" | "oneOf":
            if key == "oneOf":
                references.reading.unbound.add("oneOf")
            return [{"allOf": [branch, {"anyOf": other}]} for branch in one]
        case "type":
            kinds, others = _as_list(one), _as_list(other)
            both = [kind for kind in kinds if kind in others or (kind == "integer" and "number" in others)]
            both += [kind for kind in others if kind == "integer" and "number" in kinds and kind not in both]
            if both:
                return both if len(both) > 1 else both[0]
    raise Impossible("allOf", f"its allOf joins two different values of {key!r}: {shown(one)} and {shown(other)}.")


def _common_multiple(one: float, other: float) -> float:
    first, second = exact(one), exact(other)
    common = Fraction(
        math.lcm(first.numerator * second.denominator, second.numerator * first.denominator),
        first.denominator * second.denominator,
    )
    return int(common) if common.denominator == 1 else float(common)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
