"""Single values: their JSON types, equality, and the keywords that assert something of one value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.patterns import matches
from parlant_local.errors import SchemaError

__all__ = ["ASSERTIONS", "exact", "holds", "identity", "kinds_of"]


def kinds_of(value: Any) -> frozenset[str]:
    """The JSON types of ``value``: whole numbers are both integers and numbers."""
    if value is None:
        return frozenset({"null"})
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return frozenset({"integer", "number"})
    if isinstance(value, float):
        return frozenset({"number"})
    if isinstance(value, str):
        return frozenset({"string"})
    return frozenset({"array"}) if isinstance(value, list | tuple) else frozenset({"object"})


def identity(value: Any) -> str:
    """A text that is equal for values that are equal in JSON: 1 and 1.0 are, 1 and true are not."""
    try:
        return json.dumps(_normal(value), sort_keys=True, ensure_ascii=True, default=repr)
    except (ValueError, RecursionError):
        raise SchemaError("The schema has a value that is not JSON.", keyword="enum") from None


def _normal(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    return value


def exact(number: Any) -> Fraction:
    """The exact decimal value: 0.1 is a tenth."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def _is_multiple(value: float, of: float) -> bool:
    return (exact(value) / exact(of)).denominator == 1


_NUMBER = frozenset({"number"})
_STRING = frozenset({"string"})
_ARRAY = frozenset({"array"})
_OBJECT = frozenset({"object"})

ASSERTIONS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("type", "enum", "const"), frozenset()),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _NUMBER),
    **dict.fromkeys(("minLength", "maxLength", "pattern"), _STRING),
    **dict.fromkeys(("minItems", "maxItems"), _ARRAY),
    **dict.fromkeys(("minProperties", "maxProperties", "required"), _OBJECT),
}
"""Keywords that assert something of a single value, with the types they apply to; empty: all types."""


def holds(key: str, bound: Any, value: Any, kinds: frozenset[str], reading: Reading) -> bool:
    """Whether ``value``, of ``kinds``, satisfies one of the :data:`ASSERTIONS`."""
    match key:
        case "type":
            return bool(kinds & set([bound] if isinstance(bound, str) else bound))
        case "const":
            return identity(value) == identity(bound)
        case "enum":
            return identity(value) in {identity(item) for item in bound}
        case "minimum":
            return bool(value >= bound)
        case "maximum":
            return bool(value <= bound)
        case "exclusiveMinimum":
            return bool(value > bound)
        case "exclusiveMaximum":
            return bool(value < bound)
        case "multipleOf":
            return _is_multiple(value, bound)
        case "minLength" | "minItems" | "minProperties":
            return bool(len(value) >= bound)
        case "maxLength" | "maxItems" | "maxProperties":
            return bool(len(value) <= bound)
        case "pattern":
            return matches(bound, value, reading.bounds)
        case "required":
            return all(name in value for name in bound)
    raise AssertionError(key)
