"""How far a closed schema's answers can be from their end: when the budget must begin to be watched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["longest_way_home"]

_OPEN_ENDED = 48  # characters that a pattern or format is guessed to ask for
_NUMBER = "-" + "9" * 20


def longest_way_home(schema: Mapping[str, Any]) -> str:
    """About the longest text that may be needed to end an answer as shortly as possible, from its worst place.

    ``schema`` comes from :func:`close_schema`. The worst place is deep inside an optional part that was begun: it has to be
    finished, and everything required behind it.
    """
    return _Home(schema.get("$defs", {})).way(schema)


class _Home:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._shortest: dict[str, str] = {}
        self._ways: dict[str, str] = {}

    def shortest(self, schema: Any) -> str:
        """About the shortest compact JSON of a schema."""
        if not isinstance(schema, Mapping):
            return "null"
        if "$ref" in schema:
            return self._of_reference(schema, self._shortest, self.shortest)
        if "enum" in schema:
            return min((_compact(value) for value in schema["enum"]), key=len)
        if "anyOf" in schema:
            return min((self.shortest(branch) for branch in schema["anyOf"]), key=len)
        match schema.get("type"):
            case "object":
                return self._object(schema)
            case "array":
                first = [self.shortest(part) for part in schema.get("prefixItems", ())]
                least = int(schema.get("minItems", 0))
                missing = max(0, least - len(first))
                return "[" + ",".join(first[:least] + [self.shortest(schema.get("items"))] * missing) + "]"
            case "string":
                return _compact("x" * max(int(schema.get("minLength", 0)), _open_ended(schema)))
            case "integer" | "number":
                return _NUMBER
            case "null":
                return "null"
        return "false"

    def way(self, schema: Any) -> str:
        """About the longest of the shortest ways to the end of a value that was begun."""
        if not isinstance(schema, Mapping):
            return "null"
        if "$ref" in schema:
            return self._of_reference(schema, self._ways, self.way)
        if "enum" in schema:
            return max((_compact(value) for value in schema["enum"]), key=len)
        if "anyOf" in schema:
            return max((self.way(branch) for branch in schema["anyOf"]), key=len)
        match schema.get("type"):
            case "object":
                inner = [f"{_compact(name)}:{self.way(part)}" for name, part in schema.get("properties", {}).items()]
                inner += [f'"{"k" * 8}":{self.way(part)}' for part in _open_values(schema)]
                return max(inner, key=len, default="") + self._object(schema)
            case "array":
                parts = [*schema.get("prefixItems", ()), schema.get("items")]
                return max((self.way(part) for part in parts), key=len) + self.shortest(schema)
        return self.shortest(schema)

    def _object(self, schema: Mapping[str, Any]) -> str:
        pairs = [f"{_compact(name)}:{self.shortest(schema['properties'][name])}" for name in schema.get("required", ())]
        missing = max(0, int(schema.get("minProperties", 0)) - len(pairs))
        others = [*_open_values(schema), *schema.get("properties", {}).values()]
        if missing and others:
            pairs += [f'"{"k" * 8}":' + max((self.shortest(part) for part in others), key=len)] * missing
        return "{" + ",".join(pairs) + "}"

    def _of_reference(self, schema: Mapping[str, Any], known: dict[str, str], find: Any) -> str:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        if name not in known:
            known[name] = find(self._definitions.get(name, {}))
        return known[name]


def _open_values(schema: Mapping[str, Any]) -> list[Any]:
    values = list(schema.get("patternProperties", {}).values())
    extra = schema.get("additionalProperties")
    return [*values, extra] if isinstance(extra, Mapping) else values


def _open_ended(schema: Mapping[str, Any]) -> int:
    return _OPEN_ENDED if "pattern" in schema or "format" in schema else 0


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
