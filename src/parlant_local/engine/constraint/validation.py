"""Answers judged by a schema, every keyword of it, within bounds: the schema is a stranger's program.

The usual validators meet strangers' patterns with a backtracking engine, write the answer into a message for every branch
that it misses, and follow references however often they fan out. Here patterns are decided in linear time, the first
violation is enough, and every step counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, UnknownDialect, lookup_recursive_ref, specification_with

from parlant_local.engine.constraint.bounds import check_json, shown
from parlant_local.engine.constraint.keywords import Schema, every_subschema, vetted
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.values import ASSERTIONS, holds, identity, kinds_of
from parlant_local.engine.patterns import matches
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import DEFAULT_BOUNDS, ConstraintSettings

__all__ = ["Validator", "ref_alone"]

_DYNAMIC = frozenset({"$dynamicAnchor", "$recursiveAnchor"})
_REF_ALONE = frozenset({"draft-03", "draft-04", "draft-06", "draft-07"})


@dataclass(slots=True)
class _Seen:
    """What the keywords of one schema, and of those applied in its place, looked at."""

    names: set[str] = field(default_factory=set)
    places: set[int] = field(default_factory=set)

    def add(self, other: _Seen) -> None:
        self.names |= other.names
        self.places |= other.places


class _Broken(Exception):
    """A rule that a value breaks."""

    def __init__(self, rule: str, at: tuple[str | int, ...]) -> None:
        super().__init__(rule)
        self.rule = rule
        self.at = at


class Validator:
    """Of one schema; thread-safe. Raises :class:`SchemaError` for what is no schema or exceeds ``bounds``."""

    def __init__(
        self,
        schema: Mapping[str, Any] | bool,
        bounds: ConstraintSettings = DEFAULT_BOUNDS,
        *,
        overlapping: bool = False,
    ) -> None:
        """``overlapping``: several branches of a ``oneOf`` may fit, as people who write one mean it."""
        check_json(schema, bounds)
        self.most_branches = None if overlapping else 1
        self._schema = schema
        self._bounds = bounds
        self._vetted = {id(part): vetted(part, bounds) for part in every_subschema(schema)}
        self._specification = _specification(schema)
        self._ref_alone = ref_alone(schema)
        words = [word for part in every_subschema(schema) for word in part]
        self.settled = not _DYNAMIC.intersection(words) or words.count("$id") + words.count("id") < 2
        """Whether a part of the schema says the same whichever way led there."""
        resource = self._specification.create_resource(schema)
        try:
            self._root = Registry().resolver_with_root(resource)
            self._root.lookup("")  # finds anchors and identities now
        except Unresolvable:
            pass  # a root with an identity of its own
        except (AttributeError, TypeError, ValueError) as error:
            raise SchemaError(f"The schema's $id or $anchor can't be read: {error}.", keyword="$id") from None

    def violation(self, value: Any) -> str | None:
        """Where ``value`` breaks which rule; ``None`` where it fits. Quotes nothing of it."""
        try:
            _Run(self, Reading(self._bounds)).check(self._schema, value, (), self._root)
        except _Broken as broken:
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in broken.at)
            return f"at ${path} the rule {broken.rule!r} is broken"
        except RecursionError:
            return "it nests too deeply to be checked"
        except Unresolvable as missing:
            raise SchemaError(
                f"The schema refers to {shown(missing.ref)}, which it does not hold.", keyword="$ref"
            ) from None
        return None

    def fits(self, schema: Mapping[str, Any] | bool, value: Any) -> bool:
        """Whether ``value`` fits a part of the schema, whose references are pointers from its root."""
        try:
            _Run(self, Reading(self._bounds)).check(schema, value, (), self._root)
        except _Broken:
            return False
        except (RecursionError, Unresolvable):
            raise SchemaError("The schema refers to nothing but itself.", keyword="$ref") from None
        return True

    def vetted(self, schema: Mapping[str, Any]) -> Schema:
        known = self._vetted.get(id(schema))
        return known if known is not None else vetted(schema, self._bounds)

    @property
    def ref_alone(self) -> bool:
        return self._ref_alone

    def inside(self, schema: Mapping[str, Any], resolver: Any) -> Any:
        if "$id" in schema or "id" in schema:
            return resolver.in_subresource(self._specification.create_resource(schema))
        return resolver


def _specification(schema: Any) -> Any:
    named = schema.get("$schema") if isinstance(schema, Mapping) else None
    try:
        return specification_with(named) if isinstance(named, str) else DRAFT202012
    except UnknownDialect:
        return DRAFT202012


def ref_alone(schema: Any) -> bool:
    """Whether nothing beside a ``$ref`` counts."""
    return _specification(schema).name in _REF_ALONE


class _Run:
    """One value being checked."""

    def __init__(self, validator: Validator, reading: Reading) -> None:
        self._validator = validator
        self._reading = reading
        self._judged: dict[tuple[int, int, tuple[str | int, ...]], _Seen | _Broken] = {}
        """By part of the schema, value and place: references that fan out meet the same value again and again."""

    def check(self, schema: Any, value: Any, at: tuple[str | int, ...], resolver: Any) -> _Seen:
        """What was looked at; :class:`_Broken` for the first rule that doesn't hold."""
        self._reading.step()
        seen = _Seen()
        if schema is True:
            return seen
        if schema is False:
            raise _Broken("false", at)
        resolver = self._validator.inside(schema, resolver)
        rules = self._validator.vetted(schema)
        if "$ref" in rules and self._validator.ref_alone:
            rules = {"$ref": rules["$ref"]}
        kinds = kinds_of(value)
        for key in ASSERTIONS.keys() & rules.keys():
            concerned = not ASSERTIONS[key] or kinds & ASSERTIONS[key]
            if concerned and not holds(key, rules[key], value, kinds, self._reading):
                raise _Broken(key, at)
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            if key in rules:
                seen.add(self._referred(key, rules[key], value, at, resolver))
        self._in_place(rules, value, at, resolver, seen)
        if isinstance(value, Mapping):
            self._object(rules, value, at, resolver, seen)
        elif isinstance(value, list | tuple):
            self._array(rules, value, at, resolver, seen)
        return seen

    def _referred(self, key: str, reference: str, value: Any, at: tuple[str | int, ...], resolver: Any) -> _Seen:
        self._reading.step()
        found = lookup_recursive_ref(resolver) if key == "$recursiveRef" else resolver.lookup(reference)
        place = (id(found.contents), id(value), at)
        known = self._judged.get(place)
        if known is None:
            try:
                known = self.check(found.contents, value, at, found.resolver)
            except _Broken as broken:
                known = broken
            if self._validator.settled:
                self._judged[place] = known
        if isinstance(known, _Broken):
            raise _Broken(known.rule, known.at)
        return known

    def _fits(self, schema: Any, value: Any, at: tuple[str | int, ...], resolver: Any) -> _Seen | None:
        try:
            return self.check(schema, value, at, resolver)
        except _Broken:
            return None

    def _in_place(self, rules: Schema, value: Any, at: tuple[str | int, ...], resolver: Any, seen: _Seen) -> None:
        for part in rules.get("allOf", ()):
            seen.add(self.check(part, value, at, resolver))
        for key, most in (("anyOf", None), ("oneOf", self._validator.most_branches)):
            if key in rules:
                fitting = [found for part in rules[key] if (found := self._fits(part, value, at, resolver)) is not None]
                if not fitting or (most and len(fitting) > most):
                    raise _Broken(key, at)
                for found in fitting:
                    seen.add(found)
        if "not" in rules and self._fits(rules["not"], value, at, resolver) is not None:
            raise _Broken("not", at)
        if "if" in rules:
            found = self._fits(rules["if"], value, at, resolver)
            if found is not None:
                seen.add(found)
            seen.add(self.check(rules.get("else" if found is None else "then", True), value, at, resolver))
        if isinstance(value, Mapping):
            for name, part in rules.get("dependentSchemas", {}).items():
                if name in value:
                    seen.add(self.check(part, value, at, resolver))

    def _object(
        self, rules: Schema, value: Mapping[str, Any], at: tuple[str | int, ...], resolver: Any, seen: _Seen
    ) -> None:
        for name, others in rules.get("dependentRequired", {}).items():
            if name in value and not all(other in value for other in others):
                raise _Broken("dependentRequired", at)
        mine: set[str] = set()
        for name, item in value.items():
            if "propertyNames" in rules:
                self.check(rules["propertyNames"], name, at, resolver)
            for part in self._rules_of(rules, name):
                mine.add(name)
                self.check(part, item, (*at, name), resolver)
        seen.names |= mine
        for key, known in (("additionalProperties", mine), ("unevaluatedProperties", seen.names)):
            if key in rules:
                for name in value.keys() - known:
                    try:
                        self.check(rules[key], value[name], (*at, name), resolver)
                    except _Broken as broken:
                        raise broken if rules[key] is not False else _Broken(key, at) from None
                seen.names.update(value)

    def _rules_of(self, rules: Schema, name: str) -> Iterator[Any]:
        if name in rules.get("properties", {}):
            yield rules["properties"][name]
        for pattern, part in rules.get("patternProperties", {}).items():
            self._reading.step()
            if matches(pattern, name, self._reading.bounds):
                yield part

    def _array(self, rules: Schema, value: Any, at: tuple[str | int, ...], resolver: Any, seen: _Seen) -> None:
        if rules.get("uniqueItems") and len({identity(item) for item in value}) < len(value):
            raise _Broken("uniqueItems", at)
        first = rules.get("prefixItems", ())
        for place, (item, part) in enumerate(zip(value, first, strict=False)):
            self.check(part, item, (*at, place), resolver)
            seen.places.add(place)
        if "items" in rules:
            self._rest("items", rules["items"], value, range(len(first), len(value)), at, resolver)
            seen.places |= set(range(len(value)))
        if "contains" in rules:
            found = {
                place
                for place, item in enumerate(value)
                if self._fits(rules["contains"], item, at, resolver) is not None
            }
            if not rules.get("minContains", 1) <= len(found) <= rules.get("maxContains", len(found)):
                raise _Broken("contains", at)
            seen.places |= found
        if "unevaluatedItems" in rules:
            left = [place for place in range(len(value)) if place not in seen.places]
            self._rest("unevaluatedItems", rules["unevaluatedItems"], value, left, at, resolver)
            seen.places |= set(left)

    def _rest(self, key: str, part: Any, value: Any, places: Any, at: tuple[str | int, ...], resolver: Any) -> None:
        for place in places:
            if part is False:
                raise _Broken(key, at)
            self.check(part, value[place], (*at, place), resolver)
