"""Keywords that no grammar says, as ones that it does: narrower or wider, and what is wider gets checked afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import TYPES, Schema
from parlant_local.engine.constraint.reading import Reading

__all__ = ["plainer"]

_DEPENDENCIES = 3  # each one doubles the alternatives


def plainer(schema: Schema, reading: Reading) -> Schema:
    """``schema``, vetted, without ``not``, ``if`` and dependencies."""
    if not schema.keys() & {"not", "if", "then", "else", "dependentRequired", "dependentSchemas"}:
        return schema
    plain = dict(schema)
    parts: list[Any] = []
    if "not" in plain:
        _without(plain, plain.pop("not"), reading)
    condition, then, other = (plain.pop(key, None) for key in ("if", "then", "else"))
    if condition is not None and (then is not None or other is not None):
        reading.unbound.add("if")
        parts.append(
            {"anyOf": [{"allOf": [condition, True if then is None else then]}, True if other is None else other]}
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


def _without(plain: Schema, forbidden: Any, reading: Reading) -> None:
    """What ``not`` leaves, where it forbids types; else it is for the check."""
    if forbidden is True or forbidden == {}:
        raise Impossible("not", "its not forbids everything.")
    if not isinstance(forbidden, Mapping):
        return
    if forbidden.keys() == {"type"}:
        kinds = _types(forbidden["type"]) | ({"integer"} if "number" in _types(forbidden["type"]) else set())
        had = _types(plain.get("type", [*TYPES - {"integer"}]))
        if "integer" in kinds and "number" in had - kinds:
            reading.unbound.add("not")  # numbers that are not whole: no grammar tells them apart
        left = sorted(had - kinds)
        if not left:
            raise Impossible("not", "its not forbids every type.")
        plain["type"] = left if len(left) > 1 else left[0]
        return
    reading.unbound.add("not")


def _types(value: Any) -> set[str]:
    return {value} if isinstance(value, str) else set(value)
