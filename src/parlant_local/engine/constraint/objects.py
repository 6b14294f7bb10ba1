"""Objects made closed: no keys but those that are described, and a bounded number of those that are not."""

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

ANY_KEY = "^(?s:."  # how the pattern begins that bounds keys of which nothing is known
_MAX_KEY = 128  # characters of a dictionary's key

Close = Callable[[Any, int], Schema]
Fits = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class ObjectCloser:
    """``close`` closes a schema that nests so many levels; ``fits`` says whether a value fits a part of the schema."""

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
            extra = {}  # an object of which nothing is known: any keys, any values
        fixed = self._described(properties, patterns, names, required, depth)
        for name in required:
            if name not in properties:
                # Required names without a description come last; they may hold what additional ones may.
                fixed[name] = self._undescribed(name, patterns, names, extra, depth)
        closed: Schema = {"type": "object", "properties": fixed, "additionalProperties": False}
        rules = self._patterns(patterns, depth)
        if isinstance(extra, Mapping) and not rules:
            rules = self._open_keys(names, fixed, extra, depth)
        elif names is not True and rules:
            self.reading.unbound.add("propertyNames")
        self._counted(closed, schema, fixed, required, rules)
        return closed

    def _check_lengths(self, names: tuple[str, ...]) -> None:
        longest = self.reading.bounds.max_text
        if any(len(name) > longest for name in names):
            raise exceeded(
                "A name in the schema has more than {} characters", "max_text", longest, keyword="properties"
            )

    def _described(
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

    def _undescribed(self, name: str, patterns: Mapping[str, Any], names: Any, extra: Any, depth: int) -> Schema:
        self._check_name(name, names)
        rules = [rule for pattern, rule in patterns.items() if matches(pattern, name, self.reading.bounds)]
        if not rules and extra is False:
            raise Impossible("required", f"it requires {shown(name)}, which additionalProperties forbids.")
        if rules:
            return self.close({"allOf": rules}, depth - 1)
        return self.close(extra if isinstance(extra, Mapping) else True, depth - 1)

    def _patterns(self, patterns: Mapping[str, Any], depth: int) -> dict[str, Schema]:
        """Those that can be bound: keys that two patterns match are more than llguidance tells apart."""
        rules: dict[str, Schema] = {}
        for pattern, part in patterns.items():
            bound = key_rule(pattern, self.reading)
            trial = {known: {"type": "null"} for known in (*rules, bound["pattern"])}
            if "allOf" in bound or (rules and problem_of({"type": "object", "patternProperties": trial})):
                self.reading.unbound.add("patternProperties")
                continue
            try:
                rules[bound["pattern"]] = self.close(part, depth - 1)
            except Impossible:
                continue
        return rules

    def _open_keys(self, names: Any, fixed: dict[str, Schema], extra: Any, depth: int) -> dict[str, Schema]:
        """Keys that the schema leaves open, each holding ``extra``: listed names, or ones of a bounded length."""
        try:
            value = self.close(extra or True, depth - 1)
            rule = {} if names is True else self.close(_text_only(names), 0)
        except Impossible:
            return {}
        if "enum" in rule:
            fixed.update({name: value for name in rule["enum"] if isinstance(name, str) and name not in fixed})
            return {}
        if "pattern" in rule and "allOf" not in rule:
            return {rule["pattern"]: value}
        if names is not True and not rule.keys() <= {"type", "minLength", "maxLength"}:
            self.reading.unbound.add("propertyNames")
        least = int(rule.get("minLength", 0))
        most = min(_MAX_KEY, self.limits.max_string, int(rule.get("maxLength", _MAX_KEY)))
        return {f"{ANY_KEY}{{{least},{max(least, most)}}})$": value}

    def _counted(
        self, closed: Schema, schema: Schema, fixed: dict[str, Schema], required: list[str], rules: dict[str, Schema]
    ) -> None:
        """Required names and bounds, so that the number of keys is one that the schema allows.

        llguidance counts keys only where every described one is required: optional ones become so where others may follow,
        and where more are needed.
        """
        least = int(schema.get("minProperties", 0))
        most = upper(schema, "maxProperties", max(len(fixed) + self.limits.max_properties, least), self.reading)
        if least > most:
            raise Impossible("minProperties", f"its minProperties is {least}, and its maxProperties {most}.")
        needed = [name for name in fixed if name in required]
        if len(needed) > most:
            raise Impossible("maxProperties", f"it requires {len(needed)} names, and has room for {most}.")
        optional = [name for name in fixed if name not in required]
        if rules and len(fixed) <= most:
            needed = list(fixed)
        elif not rules or len(fixed) > most:
            rules = {}
            needed += optional[: max(0, least - len(needed))]
            if least > len(fixed):
                raise Impossible("minProperties", f"it needs {least} keys, and describes {len(fixed)}.")
            if len(fixed) > most:  # the first ones, which are enough
                kept = {*needed, *[name for name in optional if name not in needed][: most - len(needed)]}
                closed["properties"] = {name: part for name, part in fixed.items() if name in kept}
        closed["required"] = [name for name in fixed if name in needed]
        if rules:
            closed |= {"maxProperties": min(most, len(fixed) + max(self.limits.max_properties, least))}
            if least > len(fixed):
                closed["minProperties"] = least
            if fixed and len(rules) == 1 and next(iter(rules)).startswith(ANY_KEY):
                closed["additionalProperties"] = next(iter(rules.values()))  # a pattern would bind described names, too
            else:
                closed["patternProperties"] = rules


def _text_only(names: Any) -> Any:
    return {"allOf": [{"type": "string"}, names]} if isinstance(names, Mapping) else names
