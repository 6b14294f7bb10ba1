"""JSON schemas made closed and bounded, so that every answer they allow ends.

llguidance takes a schema at its word: open objects may grow keys for ever, strings and numbers have no end, recursion no
floor. This module rewrites a schema, as Pydantic and OpenAI's clients send them, into one with the same meaning for sane
answers: no extra keys, every string, key, array, dictionary and number bounded, recursion unrolled to a depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from parlant_local.engine.constraint.keywords import OWN, Schema, vetted
from parlant_local.engine.constraint.merging import merged
from parlant_local.engine.constraint.references import References
from parlant_local.engine.constraint.values import admits, kinds_of
from parlant_local.engine.requests import Limits
from parlant_local.errors import SchemaError

__all__ = ["any_object", "close_schema"]

_MAX_NODES = 20_000
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


def close_schema(schema: Mapping[str, Any] | bool, limits: Limits) -> Schema:
    """A closed and bounded copy. Raises :class:`SchemaError` for what can't be resolved, is no schema, or never ends."""
    if not isinstance(schema, Mapping | bool):
        raise SchemaError(f"A JSON schema must be an object, not {type(schema).__name__}.")
    return _Closer(schema, limits).close()


def any_object(limits: Limits) -> Schema:
    """Any JSON object within the limits."""
    return close_schema({"type": "object"}, limits)


class _Closer:
    def __init__(self, root: Mapping[str, Any] | bool, limits: Limits) -> None:
        self._root = root
        self._limits = limits
        self._references = References(root if isinstance(root, Mapping) else {})
        self._definitions: dict[str, Schema] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._impossible: dict[str, _Impossible] = {}
        self._nodes = 0

    def close(self) -> Schema:
        try:
            closed = self._value(self._root, self._limits.max_depth)
        except _Impossible as impossible:
            raise SchemaError(f"No answer can satisfy the schema: {impossible}", keyword=impossible.keyword) from None
        except RecursionError:
            raise SchemaError("The schema is nested too deeply.", keyword="$ref") from None
        if self._definitions:
            closed = {**closed, "$defs": self._definitions}
        return closed

    # -- one value ----------------------------------------------------------------------------------------------------

    def _value(self, schema: Mapping[str, Any] | bool, depth: int) -> Schema:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise SchemaError(f"The schema has more than {_MAX_NODES} parts.", hint="Split it up.")
        if isinstance(schema, bool):
            if not schema:
                raise _Impossible("false", "a part of it is false, which allows nothing.")
            return self._any(depth)
        schema = vetted(schema)
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
            values = [value for value in values if value in schema["enum"]]
        kept = [value for value in values if admits(schema, value)]
        if not kept:
            keyword = "const" if "const" in schema else "enum"
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
                    raise _Impossible("required", f"it requires {name!r}, which additionalProperties forbids.")
                fixed[name] = self._value(extra if isinstance(extra, Mapping) else True, depth - 1)
        if patterns:
            closed["patternProperties"] = {key: self._value(part, depth - 1) for key, part in patterns.items()}
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
            closed["maxProperties"] = min(int(schema.get("maxProperties", bound)), bound)
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
        most = int(schema.get("maxItems", max(self._limits.max_items, least, len(first))))
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
        if "maxLength" not in schema:
            most = _FORMAT_LENGTHS.get(label, self._limits.max_string)
            closed["maxLength"] = max(int(schema.get("minLength", 0)), most)
        return closed

    def _number(self, schema: Schema) -> Schema:
        closed = dict(schema)
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
        if key == "oneOf" and any(not self._disjoint(one, other) for one, other in combinations(branches, 2)):
            raise SchemaError(
                "The schema's oneOf has branches that one answer may satisfy together.",
                keyword="oneOf",
                hint="Use anyOf, or give each branch a required const of its own.",
            )
        return self._branches(branches, depth)

    def _branches(self, branches: Sequence[Any], depth: int) -> Schema:
        possible: list[Schema] = []
        reason = _Impossible("anyOf", "none of its alternatives can be satisfied.")
        for branch in branches:
            try:
                closed = self._value(branch, depth)
            except _Impossible as impossible:
                reason = impossible
                continue
            if closed not in possible:
                possible.append(closed)
        if not possible:
            raise reason
        return possible[0] if len(possible) == 1 else {"anyOf": possible}

    def _disjoint(self, one: Any, other: Any) -> bool:
        """Whether no value can satisfy both, as far as types, listed values and tags of objects tell."""
        if one is False or other is False:
            return True
        if one is True or other is True:
            return False
        one, other = (vetted(self._references.followed(schema)) for schema in (one, other))
        values, others = _listed_values(one), _listed_values(other)
        if values is not None and others is not None:
            return not any(value in others for value in values)
        kinds, other_kinds = _kinds(one), _kinds(other)
        if kinds is not None and other_kinds is not None and not kinds & other_kinds:
            return True
        tags = set(one.get("required", ())) & set(other.get("required", ()))
        return any(
            name in one.get("properties", {})
            and name in other.get("properties", {})
            and self._disjoint(one["properties"][name], other["properties"][name])
            for name in tags
        )

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


def _listed_values(schema: Mapping[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _kinds(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """The types a value may have; None where the schema does not say."""
    if (values := _listed_values(schema)) is not None:
        return frozenset().union(*(kinds_of(value) for value in values))
    if "type" not in schema:
        return None
    kinds = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    return frozenset(kinds) | ({"integer"} if "number" in kinds else frozenset())
