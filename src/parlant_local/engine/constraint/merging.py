"""``allOf`` as one schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parlant_local.engine.constraint.bounds import shown
from parlant_local.engine.constraint.keywords import Schema
from parlant_local.engine.constraint.patterns import matches
from parlant_local.engine.constraint.references import References
from parlant_local.engine.constraint.values import identity
from parlant_local.errors import SchemaError

__all__ = ["merged"]

_LARGER = frozenset({"minimum", "minLength", "minItems", "exclusiveMinimum", "minProperties"})
_SMALLER = frozenset({"maximum", "maxLength", "maxItems", "exclusiveMaximum", "maxProperties"})


def merged(schema: Mapping[str, Any], references: References, done: set[str] | None = None) -> Schema:
    """What all of ``schema`` and its ``allOf`` ask for together: the narrower of two bounds, every property and name.

    Raises :class:`SchemaError` where two parts can't be joined.
    """
    done = set() if done is None else done  # references that were merged already: once more says nothing new
    parts: list[Schema] = []
    for part in ({key: value for key, value in schema.items() if key != "allOf"}, *schema["allOf"]):
        if part is False:
            raise SchemaError("The schema has an allOf that allows nothing.", keyword="allOf")
        if part is True:
            continue
        references.budget.part()
        if "$ref" in part and len(part) == 1:
            if part["$ref"] in done:
                continue
            done.add(str(part["$ref"]))
        whole = references.vetted(references.followed(part))
        parts.append(merged(whole, references, done) if "allOf" in whole else whole)
    result: Schema = {}
    if properties := _properties(parts, references):
        result["properties"] = properties
    required: dict[str, None] = {}
    for part in parts:
        references.budget.step()
        for key, value in part.items():
            if key == "properties":
                continue
            if key == "required":
                required.update(dict.fromkeys(value))
            elif key in result and result[key] != value:
                result[key] = _narrower(key, result[key], value)
            else:
                result[key] = value
    return {**result, "required": list(required)} if required else result


def _properties(parts: list[Schema], references: References) -> Schema:
    """Every property that some part names, under what each part says of it."""
    names = dict.fromkeys(name for part in parts for name in part.get("properties", ()))
    result: Schema = {}
    for name in names:
        said = [rule for part in parts if (rule := _rule(part, name, references)) is not True]
        result[name] = said[0] if len(said) == 1 else {"allOf": said} if said else True
        if False in said:
            result[name] = False
    return result


def _rule(part: Schema, name: str, references: References) -> Any:
    references.budget.step()
    if name in part.get("properties", {}):
        return part["properties"][name]
    for pattern, rule in part.get("patternProperties", {}).items():
        if matches(pattern, name, references.budget.bounds):
            return rule
    return part.get("additionalProperties", True)


def _narrower(key: str, one: Any, other: Any) -> Any:
    if key in _LARGER:
        return max(one, other)
    if key in _SMALLER:
        return min(one, other)
    if key == "enum":
        listed = {identity(value) for value in other}
        return [value for value in one if identity(value) in listed]
    if key == "additionalProperties" and (one is False or other is False):
        return False
    if key == "additionalProperties" and (one is True or other is True):
        return other if one is True else one
    if key == "type":
        kinds, others = _listed(one), _listed(other)
        both = [kind for kind in kinds if kind in others]
        if not both and "integer" in kinds + others and "number" in kinds + others:
            both = ["integer"]
        if both:
            return both if len(both) > 1 else both[0]
    raise SchemaError(
        f"The schema's allOf joins two different values of {key!r}: {shown(one)} and {shown(other)}.", keyword="allOf"
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
