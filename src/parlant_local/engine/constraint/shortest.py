"""How far a closed schema's answers can be from their end: when the budget must begin to be watched."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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
                return "[" + ",".join(self._items(schema)) + "]"
            case "string":
                return _compact("x" * max(int(schema.get("minLength", 0)), _open_ended(schema)))
            case "integer" if "minimum" in schema and "maximum" in schema:
                return max((str(int(schema[bound])) for bound in ("minimum", "maximum")), key=len)
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
                return self._way_of_object(schema)
            case "array":
                return self._way_of_array(schema)
        return self.shortest(schema)

    def _object(self, schema: Mapping[str, Any]) -> str:
        return "{" + ",".join(self._pairs(schema, schema.get("required", ()))) + "}"

    def _way_of_object(self, schema: Mapping[str, Any]) -> str:
        """Keys come in the order of the schema: behind one that was begun, only later ones can be due."""
        properties = schema.get("properties", {})
        names, required = list(properties), set(schema.get("required", ()))
        ways = [self._object(schema)]
        for place, name in enumerate(names):
            due = [later for later in names[place + 1 :] if later in required]
            begun = f"{_compact(name)}:{self.way(properties[name])}"
            ways.append(",".join([begun, *self._pairs(schema, due, least=len(due) + 1)]) + "}")
        ways += [f'"{"k" * 8}":{self.way(part)}' + self._object(schema) for part in _open_values(schema)]
        return max(ways, key=len)

    def _pairs(self, schema: Mapping[str, Any], names: Iterable[str], least: int = 0) -> list[str]:
        """The shortest keys and values of ``names``, and of others up to ``minProperties``."""
        pairs = [f"{_compact(name)}:{self.shortest(schema['properties'][name])}" for name in names]
        missing = max(0, int(schema.get("minProperties", 0)) - max(least, len(pairs)))
        others = [*_open_values(schema), *schema.get("properties", {}).values()]
        if missing and others:
            pairs += [f'"{"k" * 8}":' + max((self.shortest(part) for part in others), key=len)] * missing
        return pairs

    def _items(self, schema: Mapping[str, Any]) -> list[str]:
        """The shortest values that an array has to have."""
        first = [self.shortest(part) for part in schema.get("prefixItems", ())]
        least = int(schema.get("minItems", 0))
        missing = max(0, least - len(first))
        return first[:least] + ([self.shortest(schema.get("items"))] * missing if missing else [])

    def _way_of_array(self, schema: Mapping[str, Any]) -> str:
        items, first = self._items(schema), list(schema.get("prefixItems", ()))
        ways = ["[" + ",".join(items) + "]"]
        for place, part in enumerate([*first, schema.get("items")]):
            ways.append(",".join([self.way(part), *items[place + 1 :]]) + "]")
        return max(ways, key=len)

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
