"""Validates answers against every keyword of an untrusted schema, within bounds.

The usual validators run untrusted patterns on a backtracking engine, quote the answer in a message for every branch that
fails, and follow references however often they fan out. Here patterns match in linear time, the first violation is
enough, and every step counts against the limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, UnknownDialect, lookup_recursive_ref, specification_with

from parlant_local.engine.constraint.bounds import check_json, shown
from parlant_local.engine.constraint.keywords import Schema, every_subschema, validated_keywords
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.values import ASSERTIONS, holds, identity, kinds_of
from parlant_local.engine.patterns import matches
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import DEFAULT_BOUNDS, ConstraintSettings

__all__ = ["Validator", "ignores_ref_siblings"]

_DYNAMIC = frozenset({"$dynamicAnchor", "$recursiveAnchor"})
_IGNORING_REF_SIBLINGS = frozenset({"draft-03", "draft-04", "draft-06", "draft-07"})


@dataclass(slots=True)
class _Evaluated:
    """Properties and items evaluated by one schema and by those applied in place, as ``unevaluated*`` needs them."""

    names: set[str] = field(default_factory=set)
    positions: set[int] = field(default_factory=set)

    def add(self, other: _Evaluated) -> None:
        self.names |= other.names
        self.positions |= other.positions


class _Violation(Exception):
    """A keyword that a value violates."""

    def __init__(self, rule: str, path: tuple[str | int, ...]) -> None:
        super().__init__(rule)
        self.rule = rule
        self.path = path


class Validator:
    """Validates against one schema; thread-safe. Raises :class:`SchemaError` for an invalid schema or one beyond ``bounds``."""

    def __init__(
        self,
        schema: Mapping[str, Any] | bool,
        bounds: ConstraintSettings = DEFAULT_BOUNDS,
        *,
        overlapping: bool = False,
    ) -> None:
        """``overlapping``: several branches of a ``oneOf`` may match, which is what most authors of one mean."""
        check_json(schema, bounds)
        self.max_branches = None if overlapping else 1
        self._schema = schema
        self._bounds = bounds
        self._validated = {id(part): validated_keywords(part, bounds) for part in every_subschema(schema)}
        self._specification = _specification(schema)
        self._ignores_ref_siblings = ignores_ref_siblings(schema)
        keys = [key for part in every_subschema(schema) for key in part]
        self.context_free = not _DYNAMIC.intersection(keys) or keys.count("$id") + keys.count("id") < 2
        """Whether a subschema means the same whichever reference led to it."""
        resource = self._specification.create_resource(schema)
        try:
            self._root = Registry().resolver_with_root(resource)
            self._root.lookup("")  # finds anchors and identities now
        except Unresolvable:
            pass  # a root with an $id of its own
        except (AttributeError, TypeError, ValueError) as error:
            raise SchemaError(f"The schema's $id or $anchor can't be read: {error}.", keyword="$id") from None

    def violation(self, value: Any) -> str | None:
        """Where ``value`` violates which keyword; ``None`` where it is valid. Quotes nothing of the value."""
        try:
            _Evaluation(self, Reading(self._bounds)).check(self._schema, value, (), self._root)
        except _Violation as violation:
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in violation.path)
            return f"at ${path} the rule {violation.rule!r} is broken"
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
            _Evaluation(self, Reading(self._bounds)).check(schema, value, (), self._root)
        except _Violation:
            return False
        except (RecursionError, Unresolvable):
            raise SchemaError("The schema refers to nothing but itself.", keyword="$ref") from None
        return True

    def keywords_of(self, schema: Mapping[str, Any]) -> Schema:
        known = self._validated.get(id(schema))
        return known if known is not None else validated_keywords(schema, self._bounds)

    @property
    def ignores_ref_siblings(self) -> bool:
        return self._ignores_ref_siblings

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


def ignores_ref_siblings(schema: Any) -> bool:
    """Whether keywords beside a ``$ref`` are ignored, as in drafts before 2019."""
    return _specification(schema).name in _IGNORING_REF_SIBLINGS


class _Evaluation:
    """One validation of one value."""

    def __init__(self, validator: Validator, reading: Reading) -> None:
        self._validator = validator
        self._reading = reading
        self._memo: dict[tuple[int, int, tuple[str | int, ...]], _Evaluated | _Violation] = {}
        """By subschema, value and position: references that fan out reach the same value again and again."""

    def check(self, schema: Any, value: Any, path: tuple[str | int, ...], resolver: Any) -> _Evaluated:
        """What was evaluated; raises :class:`_Violation` for the first keyword that doesn't hold."""
        self._reading.step()
        evaluated = _Evaluated()
        if schema is True:
            return evaluated
        if schema is False:
            raise _Violation("false", path)
        resolver = self._validator.inside(schema, resolver)
        rules = self._validator.keywords_of(schema)
        if "$ref" in rules and self._validator.ignores_ref_siblings:
            rules = {"$ref": rules["$ref"]}
        kinds = kinds_of(value)
        for key in ASSERTIONS.keys() & rules.keys():
            concerned = not ASSERTIONS[key] or kinds & ASSERTIONS[key]
            if concerned and not holds(key, rules[key], value, kinds, self._reading):
                raise _Violation(key, path)
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            if key in rules:
                evaluated.add(self._referred(key, rules[key], value, path, resolver))
        self._in_place(rules, value, path, resolver, evaluated)
        if isinstance(value, Mapping):
            self._object(rules, value, path, resolver, evaluated)
        elif isinstance(value, list | tuple):
            self._array(rules, value, path, resolver, evaluated)
        return evaluated

    def _referred(self, key: str, reference: str, value: Any, path: tuple[str | int, ...], resolver: Any) -> _Evaluated:
        self._reading.step()
        result = lookup_recursive_ref(resolver) if key == "$recursiveRef" else resolver.lookup(reference)
        position = (id(result.contents), id(value), path)
        known = self._memo.get(position)
        if known is None:
            try:
                known = self.check(result.contents, value, path, result.resolver)
            except _Violation as violation:
                known = violation
            if self._validator.context_free:
                self._memo[position] = known
        if isinstance(known, _Violation):
            raise _Violation(known.rule, known.path)
        return known

    def _fits(self, schema: Any, value: Any, path: tuple[str | int, ...], resolver: Any) -> _Evaluated | None:
        try:
            return self.check(schema, value, path, resolver)
        except _Violation:
            return None

    def _in_place(
        self, rules: Schema, value: Any, path: tuple[str | int, ...], resolver: Any, evaluated: _Evaluated
    ) -> None:
        for part in rules.get("allOf", ()):
            evaluated.add(self.check(part, value, path, resolver))
        for key, most in (("anyOf", None), ("oneOf", self._validator.max_branches)):
            if key in rules:
                fitting = [
                    result for part in rules[key] if (result := self._fits(part, value, path, resolver)) is not None
                ]
                if not fitting or (most and len(fitting) > most):
                    raise _Violation(key, path)
                for result in fitting:
                    evaluated.add(result)
        if "not" in rules and self._fits(rules["not"], value, path, resolver) is not None:
            raise _Violation("not", path)
        if "if" in rules:
            result = self._fits(rules["if"], value, path, resolver)
            if result is not None:
                evaluated.add(result)
            evaluated.add(self.check(rules.get("else" if result is None else "then", True), value, path, resolver))
        if isinstance(value, Mapping):
            for name, part in rules.get("dependentSchemas", {}).items():
                if name in value:
                    evaluated.add(self.check(part, value, path, resolver))

    def _object(
        self, rules: Schema, value: Mapping[str, Any], path: tuple[str | int, ...], resolver: Any, evaluated: _Evaluated
    ) -> None:
        for name, others in rules.get("dependentRequired", {}).items():
            if name in value and not all(other in value for other in others):
                raise _Violation("dependentRequired", path)
        matched: set[str] = set()
        for name, item in value.items():
            if "propertyNames" in rules:
                self.check(rules["propertyNames"], name, path, resolver)
            for part in self._rules_of(rules, name):
                matched.add(name)
                self.check(part, item, (*path, name), resolver)
        evaluated.names |= matched
        for key, known in (("additionalProperties", matched), ("unevaluatedProperties", evaluated.names)):
            if key in rules:
                for name in value.keys() - known:
                    try:
                        self.check(rules[key], value[name], (*path, name), resolver)
                    except _Violation as violation:
                        raise violation if rules[key] is not False else _Violation(key, path) from None
                evaluated.names.update(value)

    def _rules_of(self, rules: Schema, name: str) -> Iterator[Any]:
        if name in rules.get("properties", {}):
            yield rules["properties"][name]
        for pattern, part in rules.get("patternProperties", {}).items():
            self._reading.step()
            if matches(pattern, name, self._reading.bounds):
                yield part

    def _array(
        self, rules: Schema, value: Any, path: tuple[str | int, ...], resolver: Any, evaluated: _Evaluated
    ) -> None:
        if rules.get("uniqueItems") and len({identity(item) for item in value}) < len(value):
            raise _Violation("uniqueItems", path)
        first = rules.get("prefixItems", ())
        for position, (item, part) in enumerate(zip(value, first, strict=False)):
            self.check(part, item, (*path, position), resolver)
            evaluated.positions.add(position)
        if "items" in rules:
            self._rest("items", rules["items"], value, range(len(first), len(value)), path, resolver)
            evaluated.positions |= set(range(len(value)))
        if "contains" in rules:
            result = {
                position
                for position, item in enumerate(value)
                if self._fits(rules["contains"], item, path, resolver) is not None
            }
            if not rules.get("minContains", 1) <= len(result) <= rules.get("maxContains", len(result)):
                raise _Violation("contains", path)
            evaluated.positions |= result
        if "unevaluatedItems" in rules:
            left = [position for position in range(len(value)) if position not in evaluated.positions]
            self._rest("unevaluatedItems", rules["unevaluatedItems"], value, left, path, resolver)
            evaluated.positions |= set(left)

    def _rest(
        self, key: str, part: Any, value: Any, positions: Any, path: tuple[str | int, ...], resolver: Any
    ) -> None:
        for position in positions:
            if part is False:
                raise _Violation(key, path)
            self.check(part, value[position], (*path, position), resolver)
