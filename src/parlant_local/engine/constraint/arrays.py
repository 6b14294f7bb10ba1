"""Array schemas made bounded."""

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

_MAX_CONTAINS = 16  # more items required by ``contains`` are validated, not enforced


def bounded_array(schema: Schema, depth: int, close: Close, follow: Follow, limits: Limits, reading: Reading) -> Schema:
    """``close`` closes a subschema to a nesting depth; ``follow`` resolves references of closed ones. Raises :class:`Impossible`."""
    schema = _with_contains(schema, reading)
    min_items = int(schema.get("minItems", 0))
    prefix_schemas = schema.get("prefixItems", ())
    items = schema.get("items", schema.get("unevaluatedItems", True))
    if "unevaluatedItems" in schema:
        reading.unbound.add("unevaluatedItems")
    max_items = upper(schema, "maxItems", max(limits.max_items, min_items, len(prefix_schemas)), reading)
    prefix: list[Schema] = []
    for part in prefix_schemas[:max_items]:
        try:
            prefix.append(close(part, depth))
        except Impossible:
            if min_items > len(prefix):
                raise
            max_items, items = len(prefix), False
            break
    rest: Schema | None = None
    if items is not False and max_items > len(prefix):
        try:
            rest = close(items, depth - 1 if items in (True, {}) else depth)
        except Impossible:
            if min_items > len(prefix):
                raise
    if rest is None:
        max_items = min(max_items, len(prefix))
    if min_items > max_items:
        raise Impossible("minItems", f"it needs {min_items} items, and has room for {max_items}.")
    closed: Schema = {"type": "array", "items": False if rest is None else rest, "maxItems": max_items}
    if prefix:
        closed["prefixItems"] = prefix
    if min_items:
        closed["minItems"] = min_items
    return _with_unique_items(closed, rest, follow, reading) if schema.get("uniqueItems") and max_items > 1 else closed


def _with_unique_items(closed: Schema, rest: Schema | None, follow: Follow, reading: Reading) -> Schema:
    """Arrays with ``uniqueItems``: enumerated where there are few, else validated afterwards."""
    values = None if closed.get("prefixItems") or rest is None else _all_values(rest, follow)
    if values is None:
        reading.unbound.add("uniqueItems")
        return closed
    min_items, max_items = closed.get("minItems", 0), min(closed["maxItems"], len(values))
    if min_items > max_items:
        raise Impossible("uniqueItems", f"it needs {min_items} different items, and there are {max_items}.")
    lengths = range(min_items, max_items + 1)
    for count, choose in ((perm, permutations), (comb, combinations)):
        # All permutations; where these are too many, combinations in schema order: a set has no order.
        listings = sum(count(len(values), length) for length in lengths)
        if reading.may_enumerate(listings, listings * max_items * max(len(identity(value)) for value in values)):
            listed: Iterator[tuple[Any, ...]] = (some for length in lengths for some in choose(values, length))
            return {"enum": [list(some) for some in listed]}
    reading.unbound.add("uniqueItems")
    return {**closed, "maxItems": max_items}


def _all_values(items: Schema, follow: Follow) -> list[Any] | None:
    """All values of a closed schema, each once, where it enumerates them."""
    items = follow(items)
    if "enum" in items:
        return list({identity(value): value for value in items["enum"]}.values())
    if "anyOf" in items:
        parts = [_all_values(part, follow) for part in items["anyOf"]]
        return None if None in parts else list({identity(v): v for part in parts for v in part or ()}.values())
    known: dict[Any, list[Any]] = {"boolean": [True, False], "null": [None]}
    return known.get(items.get("type"))


def _with_contains(schema: Schema, reading: Reading) -> Schema:
    """``contains`` enforced on the first items, which is one way to satisfy it; with ``maxContains``, on no others."""
    if "contains" not in schema:
        return schema
    wanted = int(schema.get("minContains", 1))
    if wanted > schema.get("maxContains", wanted):
        raise Impossible("minContains", f"its minContains is {wanted}, and its maxContains {schema['maxContains']}.")
    min_items = max(int(schema.get("minItems", 0)), wanted)
    if wanted > _MAX_CONTAINS or "prefixItems" in schema:
        reading.unbound.add("contains")
        return {**schema, "minItems": min_items}
    items = schema.get("items", schema.get("unevaluatedItems", True))
    bound = {**schema, "minItems": min_items}
    if wanted:
        bound["prefixItems"] = [_intersection(schema["contains"], items)] * wanted
    if "maxContains" in schema:
        bound["items"] = _intersection({"not": schema["contains"]}, items)
    return bound


def _intersection(part: Any, items: Any) -> Any:
    return part if items is True else {"allOf": [part, items]}
