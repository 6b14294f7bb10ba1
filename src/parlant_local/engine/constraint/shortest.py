"""The shortest answer a closed schema allows: what must be left in the budget to land a long one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["shortest_json"]


def shortest_json(schema: Mapping[str, Any]) -> str:
    """About the shortest compact JSON text of a schema from :func:`close_schema` (patterns and formats are guessed at)."""
    return _Shortest(schema.get("$defs", {})).text(schema)


class _Shortest:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._known: dict[str, str] = {}

    def text(self, schema: Any) -> str:
        if not isinstance(schema, Mapping):
            return "null"
        if "$ref" in schema:
            name = str(schema["$ref"]).removeprefix("#/$defs/")
            if name not in self._known:
                self._known[name] = self.text(self._definitions.get(name, {}))
            return self._known[name]
        if "const" in schema:
            return _compact(schema["const"])
        if "enum" in schema:
            return min((_compact(value) for value in schema["enum"]), key=len)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return min((self.text(branch) for branch in schema[key]), key=len)
        kind = schema.get("type")
        if kind == "object":
            names = schema.get("required", ())
            pairs = (f"{_compact(name)}:{self.text(schema['properties'][name])}" for name in names)
            return "{" + ",".join(pairs) + "}"
        if kind == "array":
            first = [self.text(part) for part in schema.get("prefixItems", ())]
            least = int(schema.get("minItems", 0))
            first = first[:least] + [self.text(schema.get("items"))] * max(0, least - len(first))
            return "[" + ",".join(first) + "]"
        if kind == "string":
            open_ended = "pattern" in schema or "format" in schema
            return _compact("x" * max(int(schema.get("minLength", 0)), 24 if open_ended else 0))
        if kind in ("integer", "number"):
            return (
                str(schema.get("minimum", schema.get("exclusiveMinimum", 0))) if schema.get("minimum", -1) > 0 else "0"
            )
        return "null" if kind == "null" else "false"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
