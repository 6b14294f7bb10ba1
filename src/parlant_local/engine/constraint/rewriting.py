"""Keywords that no grammar says, as ones that it does: narrower or wider, and what is wider gets checked afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import TYPES, Schema
from parlant_local.engine.constraint.reading import Reading

__all__ = ["plainer", "without_not"]

_DEPENDENCIES = 3  # each one doubles the alternatives


def plainer(schema: Schema, reading: Reading) -> Schema:
    """``schema``, vetted, without ``if`` and dependencies."""
    if not schema.keys() & {"if", "then", "else", "dependentRequired", "dependentSchemas"}:
        return schema
    plain = dict(schema)
    parts: list[Any] = []
    condition, then, other = (plain.pop(key, None) for key in ("if", "then", "else"))
    if condition is not None and (then is not None or other is not None):
        reading.unbound.add("if")
        parts.append(
            {"anyOf": [{"allOf": [condition, _or_any(then)]}, {"allOf": [_opposite(condition), _or_any(other)]}]}
        )
    dependent: dict[str, list[Any]] = {}
    for key in ("dependentRequired", "dependentSchemas"):
        for name, wanted in plain.pop(key, {}).items():
            reading.unbound.add(key)
            dependent.setdefault(name, []).append({"required": wanted} if isinstance(wanted, list | tuple) else wanted)
    for place, (name, wanted_) in enumerate(dependent.items()):
        if name in plain.get("required", ()):
            parts += wanted_
        elif place < _DEPENDENCIES:
            parts.append({"anyOf": [{"properties": {name: False}}, {"allOf": [{"required": [name]}, *wanted_]}]})
    if parts:
        plain["allOf"] = [*plain.get("allOf", ()), *parts]
    return plain


def _or_any(schema: Any) -> Any:
    return True if schema is None else schema


def _opposite(condition: Any) -> Any:
    """What doesn't fit ``condition``, where that is about one property; else anything."""
    if condition is False or condition is True:
        return not condition
    if condition.keys() - {"properties", "required", "type"} or len(condition.get("properties", {})) != 1:
        return True
    ((name, rule),) = condition["properties"].items()
    return {"required": [name], "properties": {name: {"not": rule}}}


def without_not(schema: Schema, reading: Reading) -> Schema:
    """What ``not`` leaves, where it forbids types; else it is for the check."""
    forbidden = schema.get("not", False)
    if forbidden is True or forbidden == {}:
        raise Impossible("not", "its not forbids everything.")
    plain = {key: value for key, value in schema.items() if key != "not"}
    if forbidden is False:
        return plain
    if forbidden.keys() != {"type"}:
        reading.unbound.add("not")
        return plain
    kinds = _types(forbidden["type"])
    had = _types(plain.get("type", TYPES - {"integer"}))
    if "integer" in kinds and "number" in had - kinds:
        reading.unbound.add("not")  # numbers that are not whole: no grammar tells them apart
    left = sorted(had - kinds - ({"integer"} if "number" in kinds else set()))
    if not left:
        raise Impossible("not", "its not forbids every type.")
    return {**plain, "type": left if len(left) > 1 else left[0]}


def _types(value: str | Iterable[str]) -> set[str]:
    return {value} if isinstance(value, str) else set(value)
