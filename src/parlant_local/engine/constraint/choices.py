"""Whether the branches of a ``oneOf`` are mutually exclusive, so that ``anyOf`` means the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import Schema
from parlant_local.engine.constraint.references import References
from parlant_local.engine.constraint.values import identity, kinds_of

__all__ = ["exclusive"]

_MAX_PAIRWISE = 64  # branches compared pairwise; a discriminator handles more at once
_MAX_DEPTH = 4  # nested discriminators


def exclusive(branches: Sequence[Any], references: References) -> bool:
    """Whether types, enumerated values and discriminators prove that no value satisfies two of ``branches``."""
    possible = [branch for branch in branches if branch is not False]
    if len(possible) < 2:
        return True
    if True in possible:
        return False
    try:
        seen = [references.read(references.followed(branch)) for branch in possible]
    except Impossible:
        return False
    if _discriminated(seen, references):
        return True
    return len(seen) <= _MAX_PAIRWISE and all(
        _disjoint(one, other, references, _MAX_DEPTH) for one, other in combinations(seen, 2)
    )


def _discriminated(branches: list[Schema], references: References) -> bool:
    """Whether all are objects with a required property whose enumerated values differ between branches."""
    if any(_types(branch) != frozenset({"object"}) for branch in branches):
        return False
    names = set.intersection(*(set(branch.get("required", ())) for branch in branches))
    for name in sorted(names):
        values_by_branch = [_enumerated(branch.get("properties", {}).get(name), references) for branch in branches]
        if None not in values_by_branch:
            seen_values: set[str] = set()
            count = 0
            for values in values_by_branch:
                assert values is not None
                seen_values |= values
                count += len(values)
            if len(seen_values) == count:
                return True
    return False


def _disjoint(one: Any, other: Any, references: References, depth: int) -> bool:
    references.reading.step()
    if one is False or other is False:
        return True
    if one is True or other is True or depth == 0:
        return False
    try:
        one, other = (references.read(references.followed(schema)) for schema in (one, other))
    except Impossible:
        return True
    values, others = _enumerated(one, references), _enumerated(other, references)
    if values is not None and others is not None:
        return values.isdisjoint(others)
    kinds, other_kinds = _types(one), _types(other)
    if kinds is not None and other_kinds is not None and not kinds & other_kinds:
        return True
    tags = set(one.get("required", ())) & set(other.get("required", ()))
    return any(
        name in one.get("properties", {})
        and name in other.get("properties", {})
        and _disjoint(one["properties"][name], other["properties"][name], references, depth - 1)
        for name in sorted(tags)
    )


def _enumerated(schema: Any, references: References) -> set[str] | None:
    """The values that a schema enumerates; None where it doesn't."""
    if not isinstance(schema, Mapping):
        return None
    schema = references.followed(schema)
    if "const" in schema:
        return {identity(schema["const"])}
    return {identity(value) for value in schema["enum"]} if isinstance(schema.get("enum"), list | tuple) else None


def _types(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """The types a value may have; None where the schema does not say."""
    if "const" in schema:
        return kinds_of(schema["const"])
    if "enum" in schema:
        return frozenset().union(*(kinds_of(value) for value in schema["enum"]))
    if "type" not in schema:
        return None
    kinds = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    return frozenset(kinds) | ({"integer"} if "number" in kinds else frozenset())
