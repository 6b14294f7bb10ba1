"""Single values against a schema: which entries of an ``enum`` its other keywords leave."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from parlant_local.engine.constraint.keywords import OWN
from parlant_local.errors import SchemaError

__all__ = ["admits", "kinds_of"]


def kinds_of(value: Any) -> frozenset[str]:
    """The JSON types of ``value``: whole numbers are integers and numbers."""
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


def admits(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether the keywords beside an ``enum`` or ``const`` allow ``value``; :class:`SchemaError` for one nobody checks."""
    kinds = kinds_of(value)
    for key, bound in schema.items():
        owner = next((kind for kind, words in OWN.items() if key in words), None)
        if owner is not None and owner not in kinds:
            continue  # speaks of another type
        if key in ("enum", "const", "$defs", "definitions"):
            continue
        if not _holds(key, bound, value, kinds):
            return False
    return True


def _holds(key: str, bound: Any, value: Any, kinds: frozenset[str]) -> bool:
    match key:
        case "type":
            return bool(kinds & set([bound] if isinstance(bound, str) else bound))
        case "minimum":
            return bool(value >= bound)
        case "maximum":
            return bool(value <= bound)
        case "exclusiveMinimum":
            return bool(value > bound)
        case "exclusiveMaximum":
            return bool(value < bound)
        case "multipleOf":
            return math.isclose(value / bound, round(value / bound), abs_tol=1e-9)
        case "minLength" | "minItems" | "minProperties":
            return bool(len(value) >= bound)
        case "maxLength" | "maxItems" | "maxProperties":
            return bool(len(value) <= bound)
        case "pattern":
            return re.search(bound, value) is not None
        case "required":
            return all(name in value for name in bound)
    raise SchemaError(
        f"The schema has {key!r} beside an enum or const.", keyword=key, hint="List only the values that are meant."
    )
