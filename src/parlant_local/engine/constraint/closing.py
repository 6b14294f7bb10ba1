"""JSON schemas made closed and bounded, so that every answer they allow ends.

llguidance takes a schema at its word: open objects may grow keys for ever, strings and numbers have no end, recursion no
floor. This module rewrites a schema, as Pydantic and OpenAI's clients send them, into one with the same meaning for sane
answers: no extra keys, every string, array, dictionary and number bounded, recursion unrolled to a depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from parlant_local.engine.requests import Limits
from parlant_local.errors import SchemaError

__all__ = ["any_object", "close_schema"]

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "discriminator"}
    | {"$schema", "$id", "$comment", "$anchor", "contentMediaType", "contentEncoding", "nullable"}
)
_MAX_NODES = 20_000

# Which keywords speak of which type.
_OWN = {
    "object": {
        "properties",
        "additionalProperties",
        "required",
        "patternProperties",
        "minProperties",
        "maxProperties",
    },
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"},
    "string": {"pattern", "minLength", "maxLength", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}

_Schema = dict[str, Any]


class _Impossible(Exception):
    """No value within the limits fits here (recursion that reached its floor)."""


def close_schema(schema: Mapping[str, Any] | bool, limits: Limits) -> _Schema:
    """A closed and bounded copy. Raises :class:`SchemaError` for what can't be resolved or never ends."""
    if not isinstance(schema, Mapping) and not isinstance(schema, bool):
        raise SchemaError(f"A JSON schema must be an object, not {type(schema).__name__}.")
    return _Closer(schema if isinstance(schema, Mapping) else {}, limits).close()


def any_object(limits: Limits) -> _Schema:
    """Any JSON object within the limits."""
    return close_schema({"type": "object"}, limits)


class _Closer:
    def __init__(self, root: Mapping[str, Any], limits: Limits) -> None:
        self._root = root
        self._limits = limits
        self._definitions: dict[str, _Schema | None] = {}  # None: being built
        self._impossible: set[str] = set()
        self._recursive: dict[str, bool] = {}
        self._nodes = 0

    def close(self) -> _Schema:
        try:
            closed = self._value(self._root, self._limits.max_depth)
        except _Impossible:
            raise SchemaError(
                "The schema never ends: every value of it must contain another one.",
                keyword="$ref",
                hint="Make the recursive field optional, nullable, or a list.",
            ) from None
        except RecursionError:
            raise SchemaError("The schema is nested too deeply.", keyword="$ref") from None
        if self._definitions:
            closed["$defs"] = {name: body for name, body in self._definitions.items() if body is not None}
        return closed

    # -- one value ----------------------------------------------------------------------------------------------------

    def _value(self, schema: Mapping[str, Any] | bool, depth: int) -> _Schema:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise SchemaError(f"The schema has more than {_MAX_NODES} parts.", hint="Split it up.")
        if schema is True or schema == {}:
            return self._any(depth)
        if schema is False:
            raise _Impossible
        if not isinstance(schema, Mapping):
            raise SchemaError(f"A JSON schema must be an object or a boolean, not {schema!r}.")
        schema = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
        if not set(schema) - {"$defs", "definitions"}:
            return self._any(depth)
        if "$ref" in schema:
            return self._reference(schema, depth)
        if "const" in schema:
            return {"const": schema["const"]}
        if "enum" in schema:
            return {"enum": self._choices(schema)}
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self._alternatives(key, schema, depth)
        if "allOf" in schema:
            return self._value(self._merged(schema), depth)
        return self._typed(schema, depth)

    def _typed(self, schema: _Schema, depth: int) -> _Schema:
        kind = schema.get("type", self._guess(schema))
        if isinstance(kind, list):
            if len(kind) == 1:
                return self._typed({**schema, "type": kind[0]}, depth)
            branches = [self._only(schema, one) for one in kind]
            return self._alternatives("anyOf", {"anyOf": branches}, depth)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind == "string":
            return self._string(schema)
        if kind in ("integer", "number"):
            return self._number(schema)
        if kind in ("boolean", "null"):
            return {"type": kind}
        if kind is None:
            # Keywords of no type that is known: llguidance names the ones it lacks.
            return {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        raise SchemaError(f"Unknown type {kind!r} in the schema.", keyword="type")

    @staticmethod
    def _guess(schema: Mapping[str, Any]) -> str | None:
        if schema.keys() & {"properties", "additionalProperties", "required", "patternProperties", "maxProperties"}:
            return "object"
        if schema.keys() & {"items", "prefixItems", "minItems", "maxItems"}:
            return "array"
        if schema.keys() & {"pattern", "minLength", "maxLength", "format"}:
            return "string"
        if schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}:
            return "number"
        return None

    def _only(self, schema: Mapping[str, Any], kind: str) -> _Schema:
        """The part of a schema of several types that speaks of one of them."""
        mine = _OWN.get("number" if kind == "integer" else kind, set())
        others = set().union(*_OWN.values()) - mine
        return {**{key: value for key, value in schema.items() if key not in others}, "type": kind}

    # -- kinds --------------------------------------------------------------------------------------------------------

    def _object(self, schema: _Schema, depth: int) -> _Schema:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        extra = schema.get("additionalProperties")
        closed: _Schema = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        closed["type"] = "object"
        if not properties and extra in (None, True) and "patternProperties" not in schema:
            extra = {}  # an object of which nothing is known: any keys, any values
        fixed: dict[str, _Schema] = {}
        for name, part in properties.items():
            try:
                fixed[name] = self._value(part, depth)
            except _Impossible:
                if name in required:
                    raise
        # Required names without a description may hold anything; without a place in the order they come last.
        for name in required:
            if name not in fixed and name not in properties:
                fixed[name] = self._any(depth - 1)
        closed["properties"] = fixed
        closed["required"] = [name for name in fixed if name in set(required)]
        closed["additionalProperties"] = False
        if isinstance(extra, Mapping):
            try:
                closed["additionalProperties"] = self._value(extra, depth - 1) if extra else self._any(depth - 1)
                bound = len(fixed) + self._limits.max_properties
                closed["maxProperties"] = min(int(schema.get("maxProperties", bound)), bound)
            except _Impossible:
                pass
        if "patternProperties" in schema:
            closed["patternProperties"] = {
                pattern: self._value(part, depth - 1) for pattern, part in schema["patternProperties"].items()
            }
        return closed

    def _array(self, schema: _Schema, depth: int) -> _Schema:
        closed = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        closed["type"] = "array"
        least = int(schema.get("minItems", 0))
        first = [self._value(part, depth) for part in schema.get("prefixItems") or ()]
        if first:
            closed["prefixItems"] = first
        items = schema.get("items", True)
        most = max(least, int(schema.get("maxItems", max(self._limits.max_items, least))))
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
                most = len(first)
        if "maxItems" in schema and int(schema["maxItems"]) < least:
            most = int(schema["maxItems"])  # a contradiction: llguidance says so
        closed["maxItems"] = most
        return closed

    def _string(self, schema: _Schema) -> _Schema:
        closed = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        closed["type"] = "string"
        if "maxLength" not in schema:
            closed["maxLength"] = max(int(schema.get("minLength", 0)), self._limits.max_string)
        return closed

    def _number(self, schema: _Schema) -> _Schema:
        closed = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        bound = 10**self._limits.max_digits - 1
        if "minimum" not in schema and "exclusiveMinimum" not in schema:
            closed["minimum"] = min(-bound, _least(schema))
        if "maximum" not in schema and "exclusiveMaximum" not in schema:
            closed["maximum"] = max(bound, _most(schema))
        return closed

    def _choices(self, schema: Mapping[str, Any]) -> list[Any]:
        kind = schema.get("type")
        kinds = set(kind) if isinstance(kind, list) else {kind}
        values = [value for value in schema["enum"] if kind is None or _kind_of(value) & kinds]
        if not values:
            raise SchemaError("The schema has an enum that allows nothing.", keyword="enum")
        return values

    def _alternatives(self, key: str, schema: _Schema, depth: int) -> _Schema:
        shared = {name: value for name, value in schema.items() if name not in (key, "$defs", "definitions")}
        branches: list[_Schema] = []
        for branch in schema[key]:
            try:
                if shared and isinstance(branch, Mapping):
                    branch = self._merged({"allOf": [shared, branch]})
                branches.append(self._value(branch, depth))
            except _Impossible:
                continue
        if not branches:
            raise _Impossible
        return branches[0] if len(branches) == 1 else {key: branches}

    def _any(self, depth: int) -> _Schema:
        """Any JSON value that nests at most ``depth`` levels."""
        name = f"any@{max(depth, 0)}"
        if name not in self._definitions:
            self._definitions[name] = None
            scalars: list[_Schema] = [
                self._string({"type": "string"}),
                self._number({"type": "number"}),
                {"type": "boolean"},
                {"type": "null"},
            ]
            if depth > 0:
                inner = self._any(depth - 1)
                scalars.append({"type": "array", "items": inner, "maxItems": self._limits.max_items})
                scalars.append(
                    {
                        "type": "object",
                        "properties": {},
                        "additionalProperties": inner,
                        "maxProperties": self._limits.max_properties,
                    }
                )
            self._definitions[name] = {"anyOf": scalars}
        return {"$ref": f"#/$defs/{name}"}

    # -- references ---------------------------------------------------------------------------------------------------

    def _reference(self, schema: _Schema, depth: int) -> _Schema:
        target = schema["$ref"]
        beside = {key: value for key, value in schema.items() if key not in ("$ref", "$defs", "definitions")}
        if beside:
            return self._value(self._merged({"allOf": [self._resolve(target), beside]}), depth)
        recursive = self._is_recursive(target)
        if recursive:
            if depth <= 0:
                raise _Impossible
            depth -= 1
        name = f"{target.rpartition('/')[2] or 'root'}@{depth}"
        if name in self._impossible:
            raise _Impossible
        if name not in self._definitions:
            self._definitions[name] = None
            try:
                self._definitions[name] = self._value(self._resolve(target), depth)
            except _Impossible:
                del self._definitions[name]
                self._impossible.add(name)
                raise
        return {"$ref": f"#/$defs/{name}"}

    def _resolve(self, target: Any) -> Mapping[str, Any]:
        if not isinstance(target, str) or not target.startswith("#"):
            raise SchemaError(
                f"The schema refers to {target!r}, outside itself.",
                keyword="$ref",
                hint="Put the definition under $defs; nothing is fetched.",
            )
        node: Any = self._root
        for part in target.removeprefix("#").removeprefix("/").split("/"):
            if not part:
                continue
            part = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or part not in node:
                raise SchemaError(f"The schema refers to {target!r}, which it does not define.", keyword="$ref")
            node = node[part]
        if not isinstance(node, Mapping):
            raise SchemaError(f"The schema's {target!r} is not a schema.", keyword="$ref")
        return node

    def _is_recursive(self, target: Any) -> bool:
        if target not in self._recursive:
            seen: set[str] = set()
            waiting = list(_references(self._resolve(target)))
            while waiting:
                reference = waiting.pop()
                if reference in seen:
                    continue
                seen.add(reference)
                waiting.extend(_references(self._resolve(reference)))
            self._recursive[target] = target in seen
        return self._recursive[target]

    def _merged(self, schema: Mapping[str, Any]) -> _Schema:
        """``allOf`` as one schema: properties and required names joined, other keywords side by side."""
        result: _Schema = {}
        parts = [{key: value for key, value in schema.items() if key != "allOf"}, *schema["allOf"]]
        for part in parts:
            if part is True:
                continue
            if not isinstance(part, Mapping):
                raise SchemaError("The schema has an allOf that allows nothing.", keyword="allOf")
            while "$ref" in part:
                beside = {key: value for key, value in part.items() if key != "$ref"}
                part = {**self._resolve(part["$ref"]), **beside}
            if "allOf" in part:
                part = self._merged(part)
            for key, value in part.items():
                if key in _ANNOTATIONS or key in ("$defs", "definitions"):
                    continue
                if key == "properties":
                    result.setdefault("properties", {}).update(value)
                elif key == "required":
                    result["required"] = list(dict.fromkeys([*result.get("required", ()), *value]))
                elif key in result and result[key] != value:
                    result[key] = _narrower(key, result[key], value)
                else:
                    result[key] = value
        return result


def _narrower(key: str, one: Any, other: Any) -> Any:
    if key in ("minimum", "minLength", "minItems", "exclusiveMinimum", "minProperties"):
        return max(one, other)
    if key in ("maximum", "maxLength", "maxItems", "exclusiveMaximum", "maxProperties"):
        return min(one, other)
    if key == "enum":
        return [value for value in one if value in other]
    if key == "type":
        both = [kind for kind in _listed(one) if kind in _listed(other)]
        if both:
            return both if len(both) > 1 else both[0]
        if {"integer", "number"} <= {*_listed(one), *_listed(other)}:
            return "integer"
    raise SchemaError(f"The schema's allOf joins two different values of {key!r}.", keyword="allOf")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            elif key not in ("$defs", "definitions", "const", "enum", "default", "examples"):
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _kind_of(value: Any) -> set[str]:
    if value is None:
        return {"null"}
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int):
        return {"integer", "number"}
    if isinstance(value, float):
        return {"number", "integer"} if value.is_integer() else {"number"}
    if isinstance(value, str):
        return {"string"}
    return {"array"} if isinstance(value, list) else {"object"}


def _least(schema: Mapping[str, Any]) -> Any:
    return min(0, *(schema[key] for key in ("maximum", "exclusiveMaximum") if key in schema), 0)


def _most(schema: Mapping[str, Any]) -> Any:
    return max(0, *(schema[key] for key in ("minimum", "exclusiveMinimum") if key in schema), 0)
