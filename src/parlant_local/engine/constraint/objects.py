"""Object schemas made closed: declared keys, and a bounded number of open ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parlant_local.engine.constraint.bounds import exceeded, shown
from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import Schema
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.scalars import key_rule, upper
from parlant_local.engine.patterns import matches, problem_of
from parlant_local.engine.requests import Limits

__all__ = ["ANY_KEY", "ObjectCloser"]

ANY_KEY = "^(?s:."  # the beginning of the pattern that only bounds the length of open keys
_MAX_KEY_LENGTH = 128  # characters of a dictionary's key

Close = Callable[[Any, int], Schema]
Fits = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class ObjectCloser:
    """``close`` closes a subschema to a nesting depth; ``fits`` tells whether a value matches a subschema."""

    close: Close
    fits: Fits
    limits: Limits
    reading: Reading

    def bounded(self, schema: Schema, depth: int) -> Schema:
        """Raises :class:`Impossible`."""
        properties: Mapping[str, Any] = schema.get("properties", {})
        patterns: Mapping[str, Any] = schema.get("patternProperties", {})
        names = schema.get("propertyNames", True)
        required = list(dict.fromkeys(schema.get("required", ())))
        self._check_lengths((*properties, *required))
        extra = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        if "unevaluatedProperties" in schema:
            self.reading.unbound.add("unevaluatedProperties")
        if not properties and not patterns and extra in (None, True):
            extra = {}  # an object without declarations: any keys, any values
        fixed = self._declared(properties, patterns, names, required, depth)
        for name in required:
            if name not in properties:
                # Required but undeclared names come last; additionalProperties applies to them.
                fixed[name] = self._undeclared(name, patterns, names, extra, depth)
        closed: Schema = {"type": "object", "properties": fixed, "additionalProperties": False}
        rules = self._patterns(patterns, depth)
        if isinstance(extra, Mapping) and not rules:
            rules = self._open_keys(names, fixed, extra, depth)
        elif names is not True and rules:
            self.reading.unbound.add("propertyNames")
        self._bound_count(closed, schema, fixed, required, rules)
        return closed

    def _check_lengths(self, names: tuple[str, ...]) -> None:
        longest = self.reading.bounds.max_text
        if any(len(name) > longest for name in names):
            raise exceeded(
                "A name in the schema has more than {} characters", "max_text", longest, keyword="properties"
            )

    def _declared(
        self, properties: Mapping[str, Any], patterns: Mapping[str, Any], names: Any, required: list[str], depth: int
    ) -> dict[str, Schema]:
        fixed: dict[str, Schema] = {}
        for name, part in properties.items():
            try:
                self._check_name(name, names)
                fixed[name] = self.close(self._with_patterns(part, name, patterns), depth)
            except Impossible:
                if name in required:
                    raise
        return fixed

    def _with_patterns(self, part: Any, name: str, patterns: Mapping[str, Any]) -> Any:
        rules = [rule for pattern, rule in patterns.items() if matches(pattern, name, self.reading.bounds)]
        return {"allOf": [part, *rules]} if rules else part

    def _check_name(self, name: str, names: Any) -> None:
        if names is not True and not self.fits(names, name):
            raise Impossible("propertyNames", f"its propertyNames forbid {shown(name)}.")

    def _undeclared(self, name: str, patterns: Mapping[str, Any], names: Any, extra: Any, depth: int) -> Schema:
        self._check_name(name, names)
        rules = [rule for pattern, rule in patterns.items() if matches(pattern, name, self.reading.bounds)]
        if not rules and extra is False:
            raise Impossible("required", f"it requires {shown(name)}, which additionalProperties forbids.")
        if rules:
            return self.close({"allOf": rules}, depth - 1)
        return self.close(extra if isinstance(extra, Mapping) else True, depth - 1)

    def _patterns(self, patterns: Mapping[str, Any], depth: int) -> dict[str, Schema]:
        """The enforceable ones: llguidance can't handle keys that two patterns match."""
        rules: dict[str, Schema] = {}
        for pattern, part in patterns.items():
            bound = key_rule(pattern, self.reading)
            probe = {known: {"type": "null"} for known in (*rules, bound["pattern"])}
            if "allOf" in bound or (rules and problem_of({"type": "object", "patternProperties": probe})):
                self.reading.unbound.add("patternProperties")
                continue
            try:
                rules[bound["pattern"]] = self.close(part, depth - 1)
            except Impossible:
                continue
        return rules

    def _open_keys(self, names: Any, fixed: dict[str, Schema], extra: Any, depth: int) -> dict[str, Schema]:
        """Keys that the schema leaves open, each holding ``extra``: enumerated names, or ones of bounded length."""
        try:
            value = self.close(extra or True, depth - 1)
            rule = {} if names is True else self.close(_string_names(names), 0)
        except Impossible:
            return {}
        if "enum" in rule:
            fixed.update({name: value for name in rule["enum"] if isinstance(name, str) and name not in fixed})
            return {}
        if "pattern" in rule and "allOf" not in rule:
            return {rule["pattern"]: value}
        if names is not True and not rule.keys() <= {"type", "minLength", "maxLength"}:
            self.reading.unbound.add("propertyNames")
        shortest = int(rule.get("minLength", 0))
        longest = min(_MAX_KEY_LENGTH, self.limits.max_string, int(rule.get("maxLength", _MAX_KEY_LENGTH)))
        return {f"{ANY_KEY}{{{shortest},{max(shortest, longest)}}})$": value}

    def _bound_count(
        self, closed: Schema, schema: Schema, fixed: dict[str, Schema], required: list[str], rules: dict[str, Schema]
    ) -> None:
        """Adjusts ``required`` and the bounds so that the number of keys is one that the schema allows.

        llguidance counts keys only where every declared one is required: optional ones become required where open keys may
        follow, and where ``minProperties`` needs them.
        """
        min_keys = int(schema.get("minProperties", 0))
        max_keys = upper(schema, "maxProperties", max(len(fixed) + self.limits.max_properties, min_keys), self.reading)
        if min_keys > max_keys:
            raise Impossible("minProperties", f"its minProperties is {min_keys}, and its maxProperties {max_keys}.")
        needed = [name for name in fixed if name in required]
        if len(needed) > max_keys:
            raise Impossible("maxProperties", f"it requires {len(needed)} names, and has room for {max_keys}.")
        optional = [name for name in fixed if name not in required]
        if rules and len(fixed) <= max_keys:
            needed = list(fixed)
        elif not rules or len(fixed) > max_keys:
            rules = {}
            needed += optional[: max(0, min_keys - len(needed))]
            if min_keys > len(fixed):
                raise Impossible("minProperties", f"it needs {min_keys} keys, and describes {len(fixed)}.")
            if len(fixed) > max_keys:  # the first ones suffice
                kept = {*needed, *[name for name in optional if name not in needed][: max_keys - len(needed)]}
                closed["properties"] = {name: part for name, part in fixed.items() if name in kept}
        closed["required"] = [name for name in fixed if name in needed]
        if rules:
            closed |= {"maxProperties": min(max_keys, len(fixed) + max(self.limits.max_properties, min_keys))}
            if min_keys > len(fixed):
                closed["minProperties"] = min_keys
            if fixed and len(rules) == 1 and next(iter(rules)).startswith(ANY_KEY):
                closed["additionalProperties"] = next(
                    iter(rules.values())
                )  # a pattern would apply to declared names, too
            else:
                closed["patternProperties"] = rules


def _string_names(names: Any) -> Any:
    return {"allOf": [{"type": "string"}, names]} if isinstance(names, Mapping) else names
