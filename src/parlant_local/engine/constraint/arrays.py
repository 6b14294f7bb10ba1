"""Arrays made bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import Schema
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.scalars import upper
from parlant_local.engine.requests import Limits

__all__ = ["bounded_array"]

Close = Callable[[Any, int], Schema]

_CONTAINED = 16  # items that ``contains`` may ask for and be bound


def bounded_array(schema: Schema, depth: int, close: Close, limits: Limits, reading: Reading) -> Schema:
    """``close`` closes a schema that nests so many levels. Raises :class:`Impossible`."""
    schema = _with_contained(schema, reading)
    least = int(schema.get("minItems", 0))
    described = schema.get("prefixItems", ())
    items = schema.get("items", schema.get("unevaluatedItems", True))
    if "unevaluatedItems" in schema:
        reading.unbound.add("unevaluatedItems")
    most = upper(schema, "maxItems", max(limits.max_items, least, len(described)), reading)
    first: list[Schema] = []
    for part in described[:most]:
        try:
            first.append(close(part, depth))
        except Impossible:
            if least > len(first):
                raise
            most, items = len(first), False
            break
    rest: Schema | None = None
    if items is not False and most > len(first):
        try:
            rest = close(items, depth - 1 if items in (True, {}) else depth)
        except Impossible:
            if least > len(first):
                raise
    if rest is None:
        most = min(most, len(first))
    if least > most:
        raise Impossible("minItems", f"it needs {least} items, and has room for {most}.")
    closed: Schema = {"type": "array", "items": False if rest is None else rest, "maxItems": most}
    if first:
        closed["prefixItems"] = first
    if least:
        closed["minItems"] = least
    if schema.get("uniqueItems") and most > 1:
        reading.unbound.add("uniqueItems")
        _keep_distinct(closed, rest)
    return closed


def _keep_distinct(closed: Schema, rest: Schema | None) -> None:
    """No more items than there are different ones, where they are listed."""
    if closed.get("prefixItems") or rest is None:
        return
    count = len(rest["enum"]) if "enum" in rest else {"boolean": 2, "null": 1}.get(rest.get("type", ""))
    if count is not None:
        if closed.get("minItems", 0) > count:
            raise Impossible("uniqueItems", f"it needs {closed['minItems']} different items, and there are {count}.")
        closed["maxItems"] = min(closed["maxItems"], count)


def _with_contained(schema: Schema, reading: Reading) -> Schema:
    """``contains`` as the first items, which is one way to keep it."""
    if "contains" not in schema:
        return schema
    reading.unbound.add("contains")
    wanted = int(schema.get("minContains", 1))
    least = max(int(schema.get("minItems", 0)), wanted)
    if wanted > _CONTAINED or "prefixItems" in schema:
        return {**schema, "minItems": least}
    items = schema.get("items", True)
    part = schema["contains"] if items is True else {"allOf": [schema["contains"], items]}
    return {**schema, "minItems": least, "prefixItems": [part] * wanted} if wanted else schema
