"""Arrays made bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from math import comb, perm
from typing import Any

from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import Schema
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.scalars import upper
from parlant_local.engine.constraint.values import identity
from parlant_local.engine.requests import Limits

__all__ = ["bounded_array"]

Close = Callable[[Any, int], Schema]
Follow = Callable[[Schema], Schema]

_CONTAINED = 16  # items that ``contains`` may ask for and be bound


def bounded_array(schema: Schema, depth: int, close: Close, follow: Follow, limits: Limits, reading: Reading) -> Schema:
    """``close`` closes a schema that nests so many levels, ``follow`` follows the references of closed ones. Raises :class:`Impossible`."""
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
    return _distinct(closed, rest, follow, reading) if schema.get("uniqueItems") and most > 1 else closed


def _distinct(closed: Schema, rest: Schema | None, follow: Follow, reading: Reading) -> Schema:
    """Arrays of different items: listed where there are few, else checked afterwards."""
    values = None if closed.get("prefixItems") or rest is None else _values(rest, follow)
    if values is None:
        reading.unbound.add("uniqueItems")
        return closed
    least, most = closed.get("minItems", 0), min(closed["maxItems"], len(values))
    if least > most:
        raise Impossible("uniqueItems", f"it needs {least} different items, and there are {most}.")
    lengths = range(least, most + 1)
    for count, choose in ((perm, permutations), (comb, combinations)):
        # All orders, or else the one of the schema: a set has none.
        number = sum(count(len(values), length) for length in lengths)
        if reading.lists(number, number * most * max(len(identity(value)) for value in values)):
            listed: Iterator[tuple[Any, ...]] = (some for length in lengths for some in choose(values, length))
            return {"enum": [list(some) for some in listed]}
    reading.unbound.add("uniqueItems")
    return {**closed, "maxItems": most}


def _values(items: Schema, follow: Follow) -> list[Any] | None:
    """All the values of a closed schema, each once, where they are few and plain."""
    items = follow(items)
    if "enum" in items:
        return list({identity(value): value for value in items["enum"]}.values())
    if "anyOf" in items:
        parts = [_values(part, follow) for part in items["anyOf"]]
        return None if None in parts else list({identity(v): v for part in parts for v in part or ()}.values())
    known: dict[Any, list[Any]] = {"boolean": [True, False], "null": [None]}
    return known.get(items.get("type"))


def _with_contained(schema: Schema, reading: Reading) -> Schema:
    """``contains`` as the first items, which is one way to keep it; no others fit where there may be no more."""
    if "contains" not in schema:
        return schema
    wanted = int(schema.get("minContains", 1))
    if wanted > schema.get("maxContains", wanted):
        raise Impossible("minContains", f"its minContains is {wanted}, and its maxContains {schema['maxContains']}.")
    least = max(int(schema.get("minItems", 0)), wanted)
    if wanted > _CONTAINED or "prefixItems" in schema:
        reading.unbound.add("contains")
        return {**schema, "minItems": least}
    items = schema.get("items", schema.get("unevaluatedItems", True))
    bound = {**schema, "minItems": least}
    if wanted:
        bound["prefixItems"] = [_both(schema["contains"], items)] * wanted
    if "maxContains" in schema:
        bound["items"] = _both({"not": schema["contains"]}, items)
    return bound


def _both(part: Any, items: Any) -> Any:
    return part if items is True else {"allOf": [part, items]}
