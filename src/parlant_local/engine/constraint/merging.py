"""``allOf`` as one schema."""

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

_LARGER = frozenset({"minimum", "minLength", "minItems", "exclusiveMinimum", "minProperties"})
_SMALLER = frozenset({"maximum", "maxLength", "maxItems", "exclusiveMaximum", "maxProperties"})
_BOTH = frozenset({"additionalProperties", "propertyNames", "items", "unevaluatedItems", "unevaluatedProperties"})
_CHECKED = frozenset({"contains", "minContains", "maxContains", "$dynamicRef", "$recursiveRef"})
"""Where two parts differ, the first one binds and both are checked."""


def merged(schema: Mapping[str, Any], references: References, done: set[str] | None = None) -> Schema:
    """What all of ``schema`` and its ``allOf`` ask for together: the narrower of two bounds, every property and name.

    Raises :class:`Impossible` where nothing satisfies two parts.
    """
    done = set() if done is None else done  # references that were merged already: once more says nothing new
    parts: list[Schema] = []
    for part in ({key: value for key, value in schema.items() if key != "allOf"}, *schema["allOf"]):
        if part is False:
            raise Impossible("allOf", "its allOf allows nothing.")
        if part is True:
            continue
        references.reading.part()
        if "$ref" in part and len(part) == 1:
            if part["$ref"] in done:
                continue
            done.add(str(part["$ref"]))
        whole = references.read(references.followed(part))
        parts.append(merged(whole, references, done) if "allOf" in whole else whole)
    result: Schema = {}
    if properties := _properties(parts, references):
        result["properties"] = properties
    if first := _first_items(parts):
        result["prefixItems"] = first
    required: dict[str, None] = {}
    for part in parts:
        references.reading.step()
        for key, value in part.items():
            if key in ("properties", "prefixItems"):
                continue
            if key == "required":
                required.update(dict.fromkeys(value))
            elif key in result and not _same(result[key], value):
                result[key] = _narrower(key, result[key], value, references)
            else:
                result[key] = value
    return {**result, "required": list(required)} if required else result


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one in JSON, where 1 and true differ."""
    return one is other or (type(one) is type(other) and bool(one == other) and not isinstance(one, AllPatterns))


def _all(said: list[Any]) -> Any:
    """One schema of several."""
    if False in said:
        return False
    said = [rule for rule in said if rule is not True]
    return (said[0] if len(said) == 1 else {"allOf": said}) if said else True


def _properties(parts: list[Schema], references: References) -> Schema:
    """Every property that some part names, under what each part says of it."""
    names = dict.fromkeys(name for part in parts for name in part.get("properties", ()))
    return {name: _all([rule for part in parts for rule in _rules(part, name, references)]) for name in names}


def _rules(part: Schema, name: str, references: References) -> list[Any]:
    references.reading.step()
    found = [part["properties"][name]] if name in part.get("properties", {}) else []
    if "patternProperties" in part:
        bounds = references.reading.bounds
        found += [rule for pattern, rule in part["patternProperties"].items() if matches(pattern, name, bounds)]
    return found or [part.get("additionalProperties", True)]


def _first_items(parts: list[Schema]) -> list[Any]:
    longest = max((len(part.get("prefixItems", ())) for part in parts), default=0)
    return [
        _all(
            [
                part["prefixItems"][place] if place < len(part.get("prefixItems", ())) else part.get("items", True)
                for part in parts
            ]
        )
        for place in range(longest)
    ]


def _narrower(key: str, one: Any, other: Any, references: References) -> Any:
    if key in _LARGER:
        return max(one, other)
    if key in _SMALLER:
        return min(one, other)
    if key in _BOTH:
        return _all([one, other])
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
                pattern: _all([part[pattern] for part in (one, other) if pattern in part])
                for pattern in dict.fromkeys((*one, *other))
            }
        case "anyOf" | "oneOf":
            if key == "oneOf":
                references.reading.unbound.add("oneOf")
            return [{"allOf": [branch, {"anyOf": other}]} for branch in one]
        case "type":
            kinds, others = _listed(one), _listed(other)
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


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
