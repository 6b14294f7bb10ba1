"""Rewrites JSON schemas as closed and bounded ones, so that every answer they allow ends.

llguidance takes a schema literally: open objects may grow keys for ever, strings, numbers and recursion have no limit.
This module rewrites a schema, as Pydantic and OpenAI clients send it, into one with the same meaning for sane answers: no
extra keys; every string, key, array, dictionary and number bounded; recursion unrolled to a depth. Keywords that a grammar
can't express are reported, so that the answer is validated against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from parlant_local.engine.constraint.anchors import with_local_references
from parlant_local.engine.constraint.arrays import bounded_array
from parlant_local.engine.constraint.bounds import check_json, exceeded
from parlant_local.engine.constraint.choices import exclusive
from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import KEYWORDS_BY_TYPE, TYPES, Schema, validated_keywords
from parlant_local.engine.constraint.merging import merged
from parlant_local.engine.constraint.objects import ObjectCloser
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.references import References
from parlant_local.engine.constraint.rewriting import without_not
from parlant_local.engine.constraint.scalars import bounded_number, bounded_text
from parlant_local.engine.constraint.validation import Validator, ignores_ref_siblings
from parlant_local.engine.constraint.values import identity
from parlant_local.engine.requests import Limits
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import DEFAULT_BOUNDS, ConstraintSettings

__all__ = ["ClosedSchema", "close_schema", "closed_schema"]

_ENUMERATING = ("const", "enum")


@dataclass(frozen=True, slots=True)
class ClosedSchema:
    schema: Schema
    unbound: frozenset[str]
    """Keywords of the original schema that an answer to ``schema`` may still violate."""
    multiples: int = 0
    """Automaton states that its ``multipleOf`` keywords take."""


def closed_schema(
    schema: Mapping[str, Any] | bool, limits: Limits, bounds: ConstraintSettings = DEFAULT_BOUNDS
) -> ClosedSchema:
    """A closed and bounded copy.

    Raises :class:`SchemaError` for unresolvable references, invalid or endless schemas, and ones beyond ``bounds``.
    """
    if not isinstance(schema, Mapping | bool):
        raise SchemaError(f"A JSON schema must be an object, not {type(schema).__name__}.")
    check_json(schema, bounds)
    reading = Reading(bounds)
    closed = _Closer(schema, limits, reading).close()
    return ClosedSchema(closed, frozenset(reading.unbound), reading.multiples)


def close_schema(
    schema: Mapping[str, Any] | bool, limits: Limits, bounds: ConstraintSettings = DEFAULT_BOUNDS
) -> Schema:
    """The schema of :func:`closed_schema`, without its findings."""
    return closed_schema(schema, limits, bounds).schema


class _Closer:
    def __init__(self, root: Mapping[str, Any] | bool, limits: Limits, reading: Reading) -> None:
        try:
            self._root, dynamic = with_local_references(root, ignores_ref_siblings=ignores_ref_siblings(root))
        except (ValueError, RecursionError):
            raise SchemaError("The schema's $id or $ref is not a valid URI.", keyword="$ref") from None
        if dynamic:
            reading.unbound.add("$dynamicRef")
        self._limits = limits
        self._reading = reading
        self._references = References(self._root if isinstance(self._root, Mapping) else {}, reading)
        self._objects = ObjectCloser(
            self._value, lambda part, value: self._validator.fits(part, value), limits, reading
        )
        self._definitions: dict[str, Schema] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._impossible: dict[str, Impossible] = {}

    @cached_property
    def _validator(self) -> Validator:
        return Validator(self._root, self._reading.bounds)

    def close(self) -> Schema:
        try:
            closed = self._value(self._root, self._limits.max_depth)
        except Impossible as impossible:
            raise SchemaError(f"No answer can satisfy the schema: {impossible}", keyword=impossible.keyword) from None
        except RecursionError:
            raise exceeded(
                "The schema's references nest more than {} levels deep",
                "max_depth",
                self._reading.bounds.max_depth,
                keyword="$ref",
            ) from None
        if self._definitions:
            closed = {**closed, "$defs": self._definitions}
        return closed

    # -- one value ----------------------------------------------------------------------------------------------------

    def _value(self, schema: Mapping[str, Any] | bool, depth: int) -> Schema:
        self._reading.part()
        if schema is False:
            raise Impossible("false", "a part of it is false, which allows nothing.")
        if schema is True:
            return self._any(depth)
        keywords = validated_keywords(schema, self._reading.bounds)
        if keywords.keys() & {"const", "enum"}:
            return self._enumerated(keywords)
        keywords = self._references.read(keywords)
        if not keywords:
            return self._any(depth)
        if "$ref" in keywords:
            return self._reference(keywords, depth)
        if "allOf" in keywords:
            return self._value(merged(keywords, self._references), self._depth_below(keywords["allOf"], depth))
        for key in ("anyOf", "oneOf"):
            if key in keywords:
                return self._alternatives(key, keywords, depth)
        if "not" in keywords:
            return self._value(without_not(keywords, self._reading), depth)
        return self._any_of_types(keywords, depth)

    def _any_of_types(self, schema: Schema, depth: int) -> Schema:
        if "type" in schema:
            return self._of_type(schema, schema["type"], depth)
        try:
            return self._of_type(schema, _implied_type(schema), depth)
        except Impossible:  # no value of the type that its keywords apply to; other types remain free
            free = [
                kind
                for kind in sorted(TYPES - {"integer"})
                if not schema.keys() & KEYWORDS_BY_TYPE.get(kind, frozenset())
            ]
            return self._branches([{"type": kind} for kind in free], depth)

    def _of_type(self, schema: Schema, kind: Any, depth: int) -> Schema:
        if isinstance(kind, list | tuple):
            branches = [_restricted_to(schema, one) for one in kind]
            return self._branches(branches, depth) if len(branches) > 1 else self._value(branches[0], depth)
        match kind:
            case "object":
                return self._objects.bounded(schema, depth)
            case "array":
                return bounded_array(schema, depth, self._value, self._resolved, self._limits, self._reading)
            case "string":
                return bounded_text(schema, self._limits, self._reading)
            case "integer" | "number":
                return bounded_number({**schema, "type": kind}, self._limits, self._reading)
            case "boolean" | "null":
                return {"type": kind}
        return self._any(depth)

    def _enumerated(self, schema: Schema) -> Schema:
        """An enumeration, without the values that sibling keywords forbid."""
        keyword = next(key for key in _ENUMERATING if key in schema)
        values = [schema["const"]] if keyword == "const" else list(schema["enum"])
        siblings = {key: value for key, value in schema.items() if key != keyword}
        if siblings:
            values = [value for value in values if self._validator.fits(siblings, value)]
        longest = self._reading.bounds.max_text
        if any(len(identity(value)) > longest for value in values):
            raise exceeded("A value of the schema has more than {} characters", "max_text", longest, keyword=keyword)
        if not values:
            raise Impossible(keyword, f"its {keyword} leaves no value.")
        most = self._reading.bounds.max_branches
        if sum(isinstance(value, Mapping | list | tuple) for value in values) > most:
            raise exceeded(
                "The schema's enum lists more than {} arrays and objects", "max_branches", most, keyword=keyword
            )
        return {"enum": values}

    # -- choices ------------------------------------------------------------------------------------------------------

    def _alternatives(self, key: str, schema: Schema, depth: int) -> Schema:
        shared = {name: value for name, value in schema.items() if name not in (key, "discriminator")}
        if "discriminator" in schema:  # optional, its default would make two branches match
            shared["required"] = [*shared.get("required", ()), schema["discriminator"]["propertyName"]]
        branches: list[Any] = []
        reason: Impossible | None = None
        for branch in schema[key]:
            try:
                joined = {"allOf": [shared, branch]}
                branches.append(merged(joined, self._references) if shared and branch is not False else branch)
            except Impossible as impossible:
                reason = impossible
        if not branches:
            raise reason or Impossible(key, f"its {key} leaves nothing.")
        if shared:
            depth = self._depth_below(schema[key], depth)
        if key == "oneOf" and not exclusive(branches, self._references):
            self._reading.unbound.add("oneOf")
            branches = [self._exclusive_values(index, branches) for index in range(len(branches))]
        return self._branches(branches, depth)

    def _exclusive_values(self, index: int, branches: list[Any]) -> Any:
        """A branch of a ``oneOf``; if it enumerates values, only those that match no other branch."""
        branch = branches[index]
        if not isinstance(branch, Mapping) or not branch.keys() & set(_ENUMERATING):
            return branch
        others = [other for other_index, other in enumerate(branches) if other_index != index]
        values = branch["enum"] if "enum" in branch else [branch["const"]]
        return {
            **branch,
            "enum": [value for value in values if not any(self._validator.fits(part, value) for part in others)],
        }

    def _branches(self, branches: Sequence[Any], depth: int) -> Schema:
        possible: list[Schema] = []
        reason = Impossible("anyOf", "none of its alternatives can be satisfied.")
        seen: set[str] = set()
        for branch in branches:
            try:
                closed = self._value(branch, depth)
            except Impossible as impossible:
                reason = impossible
                continue
            if (key := identity(closed)) not in seen:
                seen.add(key)
                possible.append(closed)
        if not possible:
            raise reason
        return possible[0] if len(possible) == 1 else {"anyOf": possible}

    # -- anything, and references -------------------------------------------------------------------------------------

    def _any(self, depth: int) -> Schema:
        """Any JSON value that nests at most ``depth`` levels."""
        key = ("", max(depth, 0))
        if key not in self._names:
            name = self._named(key)
            kinds: list[Schema] = [
                bounded_text({}, self._limits, self._reading),
                bounded_number({"type": "number"}, self._limits, self._reading),
                {"type": "boolean"},
                {"type": "null"},
            ]
            if depth > 0:
                kinds.append(bounded_array({}, depth, self._value, self._resolved, self._limits, self._reading))
                kinds.append(self._objects.bounded({}, depth))
            self._definitions[name] = {"anyOf": kinds}
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _reference(self, schema: Schema, depth: int) -> Schema:
        target = schema["$ref"]
        depth = self._depth_below([schema], depth)
        if len(schema) > 1:
            siblings = {key: value for key, value in schema.items() if key != "$ref"}
            return self._value(merged({"allOf": [{"$ref": target}, siblings]}, self._references), depth)
        key = (target, depth)
        name = self._names.get(key) or self._named(key)
        if name in self._impossible:
            raise self._impossible[name]
        if name not in self._definitions:
            self._definitions[name] = {}  # reserves its position; nothing refers to it before it is complete
            try:
                self._definitions[name] = self._value(self._references.resolve(target), depth)
            except Impossible as impossible:
                del self._definitions[name]
                self._impossible[name] = impossible
                raise
        return {"$ref": f"#/$defs/{name}"}

    def _resolved(self, closed: Schema) -> Schema:
        """The target of a closed schema's reference; empty while that is still being closed."""
        while "$ref" in closed:
            closed = self._definitions.get(closed["$ref"].removeprefix("#/$defs/"), {})
        return closed

    def _depth_below(self, parts: Sequence[Any], depth: int) -> int:
        """The depth left once the references in ``parts`` are followed; a recursive one takes a level."""
        targets = [part["$ref"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("$ref"), str)]
        if not any(self._references.is_recursive(target) for target in targets):
            return depth
        if depth <= 0:
            raise Impossible("$ref", "it never ends, since every value of it must contain another one.")
        return depth - 1

    def _named(self, key: tuple[str, int]) -> str:
        """A generated name: the schema's own could collide, or need escaping."""
        return self._names.setdefault(key, f"d{len(self._names)}")


def _implied_type(schema: Mapping[str, Any]) -> str | None:
    return next((kind for kind, words in KEYWORDS_BY_TYPE.items() if schema.keys() & words), None)


def _restricted_to(schema: Mapping[str, Any], kind: str) -> Schema:
    """The part of a multi-type schema that applies to one type."""
    own = KEYWORDS_BY_TYPE.get("number" if kind == "integer" else kind, frozenset())
    others = frozenset().union(*KEYWORDS_BY_TYPE.values()) - own
    return {**{key: value for key, value in schema.items() if key not in others}, "type": kind}
