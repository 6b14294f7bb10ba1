"""JSON schemas made closed and bounded, so that every answer they allow ends.

llguidance takes a schema at its word: open objects may grow keys for ever, strings and numbers have no end, recursion no
floor. This module rewrites a schema, as Pydantic and OpenAI's clients send them, into one with the same meaning for sane
answers: no extra keys, every string, key, array, dictionary and number bounded, recursion unrolled to a depth. Rules that no
grammar says are named, so that the answer gets checked for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from parlant_local.engine.constraint.anchors import localised
from parlant_local.engine.constraint.arrays import bounded_array
from parlant_local.engine.constraint.bounds import check_json, exceeded
from parlant_local.engine.constraint.choices import exclusive
from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import OWN, TYPES, Schema, vetted
from parlant_local.engine.constraint.merging import merged
from parlant_local.engine.constraint.objects import ObjectCloser
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.references import References
from parlant_local.engine.constraint.rewriting import without_not
from parlant_local.engine.constraint.scalars import bounded_number, bounded_text
from parlant_local.engine.constraint.validation import Validator, ref_alone
from parlant_local.engine.constraint.values import identity
from parlant_local.engine.requests import Limits
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import DEFAULT_BOUNDS, ConstraintSettings

__all__ = ["ClosedSchema", "close_schema", "closed_schema"]

_LISTING = ("const", "enum")


@dataclass(frozen=True, slots=True)
class ClosedSchema:
    schema: Schema
    unbound: frozenset[str]
    """Keywords of the original that an answer of ``schema`` may still break."""
    multiples: int = 0
    """States of the automata that its ``multipleOf`` take."""


def closed_schema(
    schema: Mapping[str, Any] | bool, limits: Limits, bounds: ConstraintSettings = DEFAULT_BOUNDS
) -> ClosedSchema:
    """A closed and bounded copy.

    Raises :class:`SchemaError` for what can't be resolved, is no schema, never ends, or exceeds ``bounds``.
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
    """:func:`closed_schema` alone."""
    return closed_schema(schema, limits, bounds).schema


class _Closer:
    def __init__(self, root: Mapping[str, Any] | bool, limits: Limits, reading: Reading) -> None:
        try:
            self._root, dynamic = localised(root, ref_alone=ref_alone(root))
        except (ValueError, RecursionError):
            raise SchemaError("The schema's $id or $ref is no address.", keyword="$ref") from None
        if dynamic:
            reading.unbound.add("$dynamicRef")
        self._limits = limits
        self._reading = reading
        self._references = References(self._root if isinstance(self._root, Mapping) else {}, reading)
        self._objects = ObjectCloser(self._value, lambda part, value: self._judge.fits(part, value), limits, reading)
        self._definitions: dict[str, Schema] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._impossible: dict[str, Impossible] = {}

    @cached_property
    def _judge(self) -> Validator:
        return Validator(self._root, self._reading.bounds)

    def close(self) -> Schema:
        try:
            closed = self._value(self._root, self._limits.max_depth)
        except Impossible as impossible:
            raise SchemaError(f"No answer can satisfy the schema: {impossible}", keyword=impossible.keyword) from None
        except RecursionError:
            raise exceeded(
                "The schema's references lead down more than {} levels",
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
        asked = vetted(schema, self._reading.bounds)
        if asked.keys() & {"const", "enum"}:
            return self._listed(asked)
        asked = self._references.read(asked)
        if not asked:
            return self._any(depth)
        if "$ref" in asked:
            return self._reference(asked, depth)
        if "allOf" in asked:
            return self._value(merged(asked, self._references), self._below(asked["allOf"], depth))
        for key in ("anyOf", "oneOf"):
            if key in asked:
                return self._alternatives(key, asked, depth)
        if "not" in asked:
            return self._value(without_not(asked, self._reading), depth)
        return self._typed(asked, depth)

    def _typed(self, schema: Schema, depth: int) -> Schema:
        if "type" in schema:
            return self._of_type(schema, schema["type"], depth)
        try:
            return self._of_type(schema, _guess(schema), depth)
        except Impossible:  # no value of the type that its keywords are about; they say nothing of others
            free = [kind for kind in sorted(TYPES - {"integer"}) if not schema.keys() & OWN.get(kind, frozenset())]
            return self._branches([{"type": kind} for kind in free], depth)

    def _of_type(self, schema: Schema, kind: Any, depth: int) -> Schema:
        if isinstance(kind, list | tuple):
            branches = [_only(schema, one) for one in kind]
            return self._branches(branches, depth) if len(branches) > 1 else self._value(branches[0], depth)
        match kind:
            case "object":
                return self._objects.bounded(schema, depth)
            case "array":
                return bounded_array(schema, depth, self._value, self._followed, self._limits, self._reading)
            case "string":
                return bounded_text(schema, self._limits, self._reading)
            case "integer" | "number":
                return bounded_number({**schema, "type": kind}, self._limits, self._reading)
            case "boolean" | "null":
                return {"type": kind}
        return self._any(depth)

    def _listed(self, schema: Schema) -> Schema:
        """An enumeration, less what the keywords beside it forbid."""
        keyword = next(key for key in _LISTING if key in schema)
        values = [schema["const"]] if keyword == "const" else list(schema["enum"])
        beside = {key: value for key, value in schema.items() if key != keyword}
        if beside:
            values = [value for value in values if self._judge.fits(beside, value)]
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
        if "discriminator" in schema:  # whose default would leave two branches alike
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
            depth = self._below(schema[key], depth)
        if key == "oneOf" and not exclusive(branches, self._references):
            self._reading.unbound.add("oneOf")
            branches = [self._alone(place, branches) for place in range(len(branches))]
        return self._branches(branches, depth)

    def _alone(self, place: int, branches: list[Any]) -> Any:
        """A branch of a ``oneOf``: of values that it lists, those that fit no other branch."""
        branch = branches[place]
        if not isinstance(branch, Mapping) or not branch.keys() & set(_LISTING):
            return branch
        others = [other for index, other in enumerate(branches) if index != place]
        values = branch["enum"] if "enum" in branch else [branch["const"]]
        return {
            **branch,
            "enum": [value for value in values if not any(self._judge.fits(part, value) for part in others)],
        }

    def _branches(self, branches: Sequence[Any], depth: int) -> Schema:
        possible: list[Schema] = []
        reason = Impossible("anyOf", "none of its alternatives can be satisfied.")
        known: set[str] = set()
        for branch in branches:
            try:
                closed = self._value(branch, depth)
            except Impossible as impossible:
                reason = impossible
                continue
            if (key := identity(closed)) not in known:
                known.add(key)
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
                kinds.append(bounded_array({}, depth, self._value, self._followed, self._limits, self._reading))
                kinds.append(self._objects.bounded({}, depth))
            self._definitions[name] = {"anyOf": kinds}
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _reference(self, schema: Schema, depth: int) -> Schema:
        target = schema["$ref"]
        depth = self._below([schema], depth)
        if len(schema) > 1:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return self._value(merged({"allOf": [{"$ref": target}, beside]}, self._references), depth)
        key = (target, depth)
        name = self._names.get(key) or self._named(key)
        if name in self._impossible:
            raise self._impossible[name]
        if name not in self._definitions:
            self._definitions[name] = {}  # keeps its place; nothing refers to it before it is whole
            try:
                self._definitions[name] = self._value(self._references.resolve(target), depth)
            except Impossible as impossible:
                del self._definitions[name]
                self._impossible[name] = impossible
                raise
        return {"$ref": f"#/$defs/{name}"}

    def _followed(self, closed: Schema) -> Schema:
        """What a closed schema refers to; nothing yet, where that is being closed just now."""
        while "$ref" in closed:
            closed = self._definitions.get(closed["$ref"].removeprefix("#/$defs/"), {})
        return closed

    def _below(self, parts: Sequence[Any], depth: int) -> int:
        """The levels left once the references in ``parts`` are followed; recursive ones take one."""
        targets = [part["$ref"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("$ref"), str)]
        if not any(self._references.is_recursive(target) for target in targets):
            return depth
        if depth <= 0:
            raise Impossible("$ref", "it never ends, since every value of it must contain another one.")
        return depth - 1

    def _named(self, key: tuple[str, int]) -> str:
        """A name of our own: a stranger's could collide with another one's, or need escaping."""
        return self._names.setdefault(key, f"d{len(self._names)}")


def _guess(schema: Mapping[str, Any]) -> str | None:
    return next((kind for kind, words in OWN.items() if schema.keys() & words), None)


def _only(schema: Mapping[str, Any], kind: str) -> Schema:
    """The part of a schema of several types that speaks of one of them."""
    mine = OWN.get("number" if kind == "integer" else kind, frozenset())
    others = frozenset().union(*OWN.values()) - mine
    return {**{key: value for key, value in schema.items() if key not in others}, "type": kind}
