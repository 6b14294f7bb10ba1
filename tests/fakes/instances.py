"""The smallest value that fits a JSON schema, which is what a fake model answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def instance(schema: Mapping[str, Any] | bool, root: Mapping[str, Any] | None = None) -> Any:
    if isinstance(schema, bool):
        return {}
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return instance(target, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return instance(schema[key][0], root)
    kind = schema.get("type", "object")
    if kind == "object":
        wanted = schema.get("properties", {})
        return {name: instance(part, root) for name, part in wanted.items()}
    if kind == "array":
        first = [instance(part, root) for part in schema.get("prefixItems", ())]
        return first + [instance(schema.get("items", {}), root)] * (schema.get("minItems", 0) - len(first))
    return {"string": "Paris", "integer": 7, "number": 0.5, "boolean": True, "null": None}[kind]
