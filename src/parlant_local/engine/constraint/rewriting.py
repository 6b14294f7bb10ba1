"""Rewrites keywords that a grammar can't express as ones it can. Where the result is wider, the answer is validated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import TYPES, Schema
from parlant_local.engine.constraint.reading import Reading

__all__ = ["without_conditionals", "without_not"]

_MAX_DEPENDENCIES = 3  # each one doubles the alternatives


def without_conditionals(schema: Schema, reading: Reading) -> Schema:
    """``schema``, validated_keywords, without ``if`` and dependencies."""
    if not schema.keys() & {"if", "then", "else", "dependentRequired", "dependentSchemas"}:
        return schema
    result = dict(schema)
    parts: list[Any] = []
    condition, then, other = (result.pop(key, None) for key in ("if", "then", "else"))
    if condition is not None and (then is not None or other is not None):
        reading.unbound.add("if")
        parts.append(
            {"anyOf": [{"allOf": [condition, _or_true(then)]}, {"allOf": [_negation(condition), _or_true(other)]}]}
        )
    dependent: dict[str, list[Any]] = {}
    for key in ("dependentRequired", "dependentSchemas"):
        for name, dependency in result.pop(key, {}).items():
            reading.unbound.add(key)
            dependent.setdefault(name, []).append(
                {"required": dependency} if isinstance(dependency, list | tuple) else dependency
            )
    for place, (name, dependencies) in enumerate(dependent.items()):
        if name in result.get("required", ()):
            parts += dependencies
        elif place < _MAX_DEPENDENCIES:
            parts.append({"anyOf": [{"properties": {name: False}}, {"allOf": [{"required": [name]}, *dependencies]}]})
    if parts:
        result["allOf"] = [*result.get("allOf", ()), *parts]
    return result


def _or_true(schema: Any) -> Any:
    return True if schema is None else schema


def _negation(condition: Any) -> Any:
    """The negation of ``condition`` where it constrains one property; else anything."""
    if condition is False or condition is True:
        return not condition
    if condition.keys() - {"properties", "required", "type"} or len(condition.get("properties", {})) != 1:
        return True
    ((name, rule),) = condition["properties"].items()
    return {"required": [name], "properties": {name: {"not": rule}}}


def without_not(schema: Schema, reading: Reading) -> Schema:
    """What ``not`` leaves where it forbids types; anything else is left to validation."""
    forbidden = schema.get("not", False)
    if forbidden is True or forbidden == {}:
        raise Impossible("not", "its not forbids everything.")
    result = {key: value for key, value in schema.items() if key != "not"}
    if forbidden is False:
        return result
    if forbidden.keys() != {"type"}:
        reading.unbound.add("not")
        return result
    forbidden_types = _types(forbidden["type"])
    allowed_types = _types(result.get("type", TYPES - {"integer"}))
    if "integer" in forbidden_types and "number" in allowed_types - forbidden_types:
        reading.unbound.add("not")  # non-integer numbers: a grammar can't tell them from integers
    remaining = sorted(allowed_types - forbidden_types - ({"integer"} if "number" in forbidden_types else set()))
    if not remaining:
        raise Impossible("not", "its not forbids every type.")
    return {**result, "type": remaining if len(remaining) > 1 else remaining[0]}


def _types(value: str | Iterable[str]) -> set[str]:
    return {value} if isinstance(value, str) else set(value)
