"""How many tokens closing an answer may take at worst, which is when the token budget must begin to be watched.

Computed from the closed schema, never from an instance: a schema may require more than can be written out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["worst_case_closing"]

_OPEN_ENDED = "x" * 48  # the guess for what a pattern or format requires
_NUMBER = "-" + "9" * 20
_KEY = "k" * 8  # a key of a dictionary


def worst_case_closing(schema: Mapping[str, Any], count: Callable[[str], int]) -> int:
    """Roughly the most tokens that the shortest ending of an answer may take, from the worst position in it.

    ``schema`` comes from :func:`close_schema`, ``count`` counts the tokens of a text. The worst position is deep
    inside an optional part that was begun: it has to be finished, and so has everything required after it.
    """
    return _ClosingCost(schema.get("$defs", {}), count).worst_case(schema)


class _ClosingCost:
    def __init__(self, definitions: Mapping[str, Any], count: Callable[[str], int]) -> None:
        self._definitions = definitions
        self._count = count
        self._shortest: dict[str, int] = {}
        self._worst_cases: dict[str, int] = {}
        self._counted: dict[str, int] = {}

    def shortest(self, schema: Any) -> int:
        """Roughly the tokens of a schema's shortest compact JSON."""
        if not isinstance(schema, Mapping):
            return 1
        if "$ref" in schema:
            return self._of_reference(schema, self._shortest, self.shortest)
        if "enum" in schema:
            return self._tokens(min((_compact(value) for value in schema["enum"]), key=len))
        if "anyOf" in schema:
            return min(self.shortest(branch) for branch in schema["anyOf"])
        match schema.get("type"):
            case "object":
                return self._object(schema)
            case "array":
                described, missing, each = self._items(schema)
                return 2 + sum(described) + missing * each
            case "string":
                return 1 + max(int(schema.get("minLength", 0)), self._open_ended(schema))
            case "integer" if "minimum" in schema and "maximum" in schema:
                return max(self._tokens(str(int(schema[bound]))) for bound in ("minimum", "maximum"))
            case "integer" | "number":
                return self._tokens(_NUMBER)
        return 1

    def worst_case(self, schema: Any) -> int:
        """Roughly the most tokens that the shortest ending of a begun value may take."""
        if not isinstance(schema, Mapping):
            return 1
        if "$ref" in schema:
            return self._of_reference(schema, self._worst_cases, self.worst_case)
        if "enum" in schema:
            return self._tokens(max((_compact(value) for value in schema["enum"]), key=len))
        if "anyOf" in schema:
            return max(self.worst_case(branch) for branch in schema["anyOf"])
        match schema.get("type"):
            case "object":
                return self._worst_case_of_object(schema)
            case "array":
                return self._worst_case_of_array(schema)
        return self.shortest(schema)

    def _object(self, schema: Mapping[str, Any]) -> int:
        return 2 + self._pairs(schema, schema.get("required", ()))

    def _worst_case_of_object(self, schema: Mapping[str, Any]) -> int:
        """Keys come in schema order: after one that was begun, only later ones can be due."""
        properties = schema.get("properties", {})
        required = set(schema.get("required", ()))
        longest = whole = self._object(schema)
        due = count = 0
        for name in reversed(properties):
            begun = self._key(name) + self.worst_case(properties[name])
            longest = max(longest, begun + due + self._missing(schema, count + 1) + 1)
            if name in required:
                due += self._key(name) + self.shortest(properties[name])
                count += 1
        return max([longest, *(self._key(_KEY) + self.worst_case(part) + whole for part in _open_values(schema))])

    def _pairs(self, schema: Mapping[str, Any], names: Iterable[str]) -> int:
        """The shortest keys and values of ``names``, and of others up to ``minProperties``."""
        costs = [self._key(name) + self.shortest(schema["properties"][name]) for name in names]
        return sum(costs) + self._missing(schema, len(costs))

    def _missing(self, schema: Mapping[str, Any], there: int) -> int:
        missing = int(schema.get("minProperties", 0)) - there
        others = [*_open_values(schema), *schema.get("properties", {}).values()] if missing > 0 else []
        return missing * (self._key(_KEY) + max(map(self.shortest, others))) if others else 0

    def _items(self, schema: Mapping[str, Any]) -> tuple[list[int], int, int]:
        """The cost of each described item that the array must have; how many more it needs, and the cost of one of those."""
        described = [self.shortest(part) for part in schema.get("prefixItems", ())]
        least = int(schema.get("minItems", 0))
        missing = max(0, least - len(described))
        return described[:least], missing, self.shortest(schema.get("items")) if missing else 0

    def _worst_case_of_array(self, schema: Mapping[str, Any]) -> int:
        described, missing, each = self._items(schema)
        longest = behind = sum(described) + missing * each
        for place, part in enumerate(schema.get("prefixItems", ())):
            behind -= described[place] if place < len(described) else 0
            longest = max(longest, self.worst_case(part) + behind)
        return 2 + max(longest, self.worst_case(schema.get("items")) + max(0, missing - 1) * each)

    def _of_reference(self, schema: Mapping[str, Any], known: dict[str, int], find: Callable[[Any], int]) -> int:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        if name not in known:
            known[name] = find(self._definitions.get(name, {}))
        return known[name]

    def _open_ended(self, schema: Mapping[str, Any]) -> int:
        return self._tokens(_OPEN_ENDED) if "pattern" in schema or "format" in schema else 0

    def _key(self, name: str) -> int:
        """With its quotes and colon; most vocabularies have one token for a comma and the quote after it."""
        return self._tokens(f",{_compact(name)}:")

    def _tokens(self, text: str) -> int:
        if text not in self._counted:
            self._counted[text] = self._count(text)
        return self._counted[text]


def _open_values(schema: Mapping[str, Any]) -> list[Any]:
    values = list(schema.get("patternProperties", {}).values())
    extra = schema.get("additionalProperties")
    return [*values, extra] if isinstance(extra, Mapping) else values


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
