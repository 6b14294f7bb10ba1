"""JSON schemas made closed and bounded, so that every answer they allow ends.

llguidance takes a schema at its word: open objects may grow keys for ever, strings and numbers have no end, recursion no
floor. This module rewrites a schema, as Pydantic and OpenAI's clients send them, into one with the same meaning for sane
answers: no extra keys, every string, key, array, dictionary and number bounded, recursion unrolled to a depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parlant_local.engine.constraint.bounds import check_json, exceeded, shown
from parlant_local.engine.constraint.budget import Budget
from parlant_local.engine.constraint.choices import exclusive
from parlant_local.engine.constraint.keywords import OWN, Schema
from parlant_local.engine.constraint.merging import merged
from parlant_local.engine.constraint.references import References
from parlant_local.engine.constraint.syntax import Translated, translated
from parlant_local.engine.constraint.values import admits, exact, identity
from parlant_local.engine.requests import Limits
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import DEFAULT_BOUNDS, ConstraintSettings

__all__ = ["any_object", "close_schema"]

_MAX_KEY = 128  # characters of a dictionary's key
_DECIMALS = 9  # llguidance counts multiples exactly up to here

# Formats that only label a text: Pydantic writes them, no validator checks them.
_LABELS = frozenset({"binary", "byte", "password", "path", "file-path", "directory-path", "color", "text", "textarea"})

# RFC 3339 lets the fraction of a second go on for ever.
_FORMAT_LENGTHS = {"date-time": 35, "time": 24, "duration": 40}


class _Impossible(Exception):
    """No value within the limits fits here."""

    def __init__(self, keyword: str, why: str) -> None:
        super().__init__(why)
        self.keyword = keyword


def close_schema(
    schema: Mapping[str, Any] | bool, limits: Limits, bounds: ConstraintSettings = DEFAULT_BOUNDS
) -> Schema:
    """A closed and bounded copy.

    Raises :class:`SchemaError` for what can't be resolved, is no schema, never ends, or exceeds ``bounds``.
    """
    if not isinstance(schema, Mapping | bool):
        raise SchemaError(f"A JSON schema must be an object, not {type(schema).__name__}.")
    check_json(schema, bounds)
    return _Closer(schema, limits, Budget(bounds)).close()


def any_object(limits: Limits) -> Schema:
    """Any JSON object within the limits."""
    return close_schema({"type": "object"}, limits)


class _Closer:
    def __init__(self, root: Mapping[str, Any] | bool, limits: Limits, budget: Budget) -> None:
        self._root = root
        self._limits = limits
        self._budget = budget
        self._references = References(root if isinstance(root, Mapping) else {}, budget)
        self._definitions: dict[str, Schema] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._impossible: dict[str, _Impossible] = {}

    def close(self) -> Schema:
        try:
            closed = self._value(self._root, self._limits.max_depth)
        except _Impossible as impossible:
            raise SchemaError(f"No answer can satisfy the schema: {impossible}", keyword=impossible.keyword) from None
        except RecursionError:
            raise exceeded(
                "The schema's references lead down more than {} levels",
                "max_depth",
                self._budget.bounds.max_depth,
                keyword="$ref",
            ) from None
        if self._definitions:
            closed = {**closed, "$defs": self._definitions}
        return closed

    # -- one value ----------------------------------------------------------------------------------------------------

    def _value(self, schema: Mapping[str, Any] | bool, depth: int) -> Schema:
        self._budget.part()
        if isinstance(schema, bool):
            if not schema:
                raise _Impossible("false", "a part of it is false, which allows nothing.")
            return self._any(depth)
        schema = self._references.vetted(schema)
        if not schema:
            return self._any(depth)
        if "$ref" in schema:
            return self._reference(schema, depth)
        if "allOf" in schema:
            return self._value(merged(schema, self._references), depth)
        if "const" in schema or "enum" in schema:
            return self._listed(schema)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self._alternatives(key, schema, depth)
        return self._typed(schema, depth)

    def _typed(self, schema: Schema, depth: int) -> Schema:
        kind = schema.get("type", _guess(schema))
        if isinstance(kind, list | tuple):
            branches = [_only(schema, one) for one in kind]
            return self._branches(branches, depth) if len(branches) > 1 else self._value(branches[0], depth)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind == "string":
            return self._string(schema)
        if kind in ("integer", "number"):
            return self._number({**schema, "type": kind})
        if kind in ("boolean", "null"):
            return {"type": kind}
        return schema  # keywords of no type at all (not, if): llguidance names the ones it lacks

    def _listed(self, schema: Schema) -> Schema:
        """An enumeration, less what the keywords beside it forbid."""
        values = [schema["const"]] if "const" in schema else list(schema["enum"])
        if "const" in schema and "enum" in schema:
            listed = {identity(value) for value in schema["enum"]}
            values = [value for value in values if identity(value) in listed]
        kept = [value for value in values if admits(schema, value, self._budget)]
        keyword = "const" if "const" in schema else "enum"
        longest = self._budget.bounds.max_text
        if any(len(identity(value)) > longest for value in kept):
            raise exceeded("A value of the schema has more than {} characters", "max_text", longest, keyword=keyword)
        if not kept:
            raise _Impossible(keyword, f"its {keyword} leaves no value.")
        return {"enum": kept}

    # -- kinds --------------------------------------------------------------------------------------------------------

    def _object(self, schema: Schema, depth: int) -> Schema:
        properties: Mapping[str, Any] = schema.get("properties", {})
        patterns: Mapping[str, Any] = schema.get("patternProperties", {})
        required = list(dict.fromkeys(schema.get("required", ())))
        extra = schema.get("additionalProperties")
        if not properties and not patterns and extra in (None, True):
            extra = {}  # an object of which nothing is known: any keys, any values
        closed = {key: value for key, value in schema.items() if key != "propertyNames"}
        closed |= {"type": "object", "additionalProperties": False}
        longest = self._budget.bounds.max_text
        if any(len(name) > longest for name in (*properties, *required)):
            raise exceeded(
                "A name in the schema has more than {} characters", "max_text", longest, keyword="properties"
            )
        fixed: dict[str, Schema] = {}
        for name, part in properties.items():
            try:
                fixed[name] = self._value(part, depth)
            except _Impossible:
                if name in required:
                    raise
        # Required names without a description come last; they may hold what additional ones may.
        for name in required:
            if name not in properties:
                if extra is False and not patterns:
                    raise _Impossible("required", f"it requires {shown(name)}, which additionalProperties forbids.")
                fixed[name] = self._value(extra if isinstance(extra, Mapping) else True, depth - 1)
        if patterns:
            closed["patternProperties"] = {
                self._pattern(key).pattern: self._value(part, depth - 1) for key, part in patterns.items()
            }
        if isinstance(extra, Mapping):
            try:
                self._open_keys(closed, fixed, schema.get("propertyNames", True), self._value(extra or True, depth - 1))
            except _Impossible:
                if schema.get("minProperties", 0) > len(fixed):
                    raise
        elif "propertyNames" in schema:
            closed["propertyNames"] = schema["propertyNames"]  # llguidance says that it can't
        closed["properties"] = fixed
        closed["required"] = [name for name in fixed if name in required]
        if closed["additionalProperties"] or "patternProperties" in closed:
            bound = max(len(fixed) + self._limits.max_properties, int(schema.get("minProperties", 0)))
            closed["maxProperties"] = min(self._most(schema, "maxProperties", bound), bound)
        return closed

    def _open_keys(self, closed: Schema, fixed: dict[str, Schema], names: Any, value: Schema) -> None:
        """Keys that the schema leaves open, each holding ``value``: listed names, or ones of a bounded length."""
        least, most = 0, min(_MAX_KEY, self._limits.max_string)
        if names is not True:
            rule = self._value({"type": "string", **names} if isinstance(names, Mapping) else names, 0)
            if "enum" in rule:
                fixed.update({name: value for name in rule["enum"] if name not in fixed})
                return
            if "pattern" in rule or "format" in rule or fixed:
                closed["propertyNames"] = names  # llguidance says that it can't
            least, most = int(rule.get("minLength", 0)), min(most, int(rule["maxLength"]))
        if fixed or "patternProperties" in closed:
            closed["additionalProperties"] = value  # a pattern would bind the names that are given, too
        else:
            closed["patternProperties"] = {f"^(?s:.{{{least},{max(least, most)}}})$": value}

    def _array(self, schema: Schema, depth: int) -> Schema:
        closed = dict(schema)
        closed["type"] = "array"
        least = int(schema.get("minItems", 0))
        first = [self._value(part, depth) for part in schema.get("prefixItems", ())]
        if first:
            closed["prefixItems"] = first
        items = schema.get("items", True)
        most = self._most(schema, "maxItems", max(self._limits.max_items, least, len(first)))
        if items is False:
            most = min(most, len(first))
            closed["items"] = False
        else:
            try:
                closed["items"] = self._value(items, depth) if items not in (True, {}) else self._any(depth - 1)
            except _Impossible:
                if least > len(first):
                    raise
                closed["items"] = False
                most = min(most, len(first))
        if most == 0 and not first:
            closed["items"] = False
        closed["maxItems"] = most
        return closed

    def _string(self, schema: Schema) -> Schema:
        closed = {**schema, "type": "string"}
        label = str(closed.get("format", ""))
        if label in _LABELS:
            del closed["format"]
        elif label.startswith("uuid"):  # Pydantic's uuid1 to uuid8
            closed["format"] = "uuid"
        if "pattern" in schema:
            rule = self._pattern(schema["pattern"])
            closed["pattern"] = rule.pattern
            if rule.also:
                closed["allOf"] = [{"type": "string", "pattern": pattern} for pattern in rule.also]
        most = _FORMAT_LENGTHS.get(label, self._limits.max_string)
        closed["maxLength"] = self._most(schema, "maxLength", max(schema.get("minLength", 0), most))
        return closed

    def _pattern(self, pattern: str) -> Translated:
        rule = translated(pattern, self._budget.bounds)
        if rule.never:
            raise SchemaError("The schema's pattern has a negative lookahead.", keyword="pattern")
        return rule

    def _most(self, schema: Schema, key: str, default: int) -> int:
        """An upper bound; no answer gets beyond what a schema may ask for at least."""
        return min(int(schema.get(key, default)), self._budget.bounds.max_count)

    def _number(self, schema: Schema) -> Schema:
        closed = dict(schema)
        if "multipleOf" in schema:
            self._budget.multiple(exact(schema["multipleOf"]).numerator)
        bound = 10**self._limits.max_digits - 1
        lows = [schema[key] for key in ("minimum", "exclusiveMinimum") if key in schema]
        highs = [schema[key] for key in ("maximum", "exclusiveMaximum") if key in schema]
        if not lows:
            closed["minimum"] = min(-bound, *(2 * -abs(high) - 1 for high in highs), 0)
        if not highs:
            closed["maximum"] = max(bound, *(2 * abs(low) + 1 for low in lows), 0)
        if closed["type"] == "number" and "multipleOf" not in schema:
            decimals = min(_DECIMALS, self._limits.max_digits)
            width = min([*highs, closed.get("maximum", bound)]) - max([*lows, closed.get("minimum", -bound)])
            if width >= 10.0 ** (1 - decimals):  # a fraction without end is a number without end
                closed["multipleOf"] = 10.0**-decimals
        return closed

    # -- choices ------------------------------------------------------------------------------------------------------

    def _alternatives(self, key: str, schema: Schema, depth: int) -> Schema:
        shared = {name: value for name, value in schema.items() if name != key}
        branches = [
            merged({"allOf": [shared, branch]}, self._references) if shared and branch is not False else branch
            for branch in schema[key]
        ]
        if key == "oneOf" and not exclusive(branches, self._references):
            raise SchemaError(
                "The schema's oneOf has branches that one answer may satisfy together.",
                keyword="oneOf",
                hint="Use anyOf, or give each branch a required const of its own.",
            )
        return self._branches(branches, depth)

    def _branches(self, branches: Sequence[Any], depth: int) -> Schema:
        possible: list[Schema] = []
        reason = _Impossible("anyOf", "none of its alternatives can be satisfied.")
        known: set[str] = set()
        for branch in branches:
            try:
                closed = self._value(branch, depth)
            except _Impossible as impossible:
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
                self._string({}),
                self._number({"type": "number"}),
                {"type": "boolean"},
                {"type": "null"},
            ]
            if depth > 0:
                kinds.append(self._array({}, depth))
                kinds.append(self._object({}, depth))
            self._definitions[name] = {"anyOf": kinds}
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _reference(self, schema: Schema, depth: int) -> Schema:
        target = schema["$ref"]
        if len(schema) > 1:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return self._value(merged({"allOf": [{"$ref": target}, beside]}, self._references), depth)
        if self._references.is_recursive(target):
            if depth <= 0:
                raise _Impossible("$ref", "it never ends, since every value of it must contain another one.")
            depth -= 1
        key = (target, depth)
        name = self._names.get(key) or self._named(key)
        if name in self._impossible:
            raise self._impossible[name]
        if name not in self._definitions:
            self._definitions[name] = {}  # keeps its place; nothing refers to it before it is whole
            try:
                self._definitions[name] = self._value(self._references.resolve(target), depth)
            except _Impossible as impossible:
                del self._definitions[name]
                self._impossible[name] = impossible
                raise
        return {"$ref": f"#/$defs/{name}"}

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
