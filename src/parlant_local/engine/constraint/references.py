"""Where a schema's references lead, and which of them lead back to themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from parlant_local.engine.constraint.keywords import subschemas
from parlant_local.errors import SchemaError

__all__ = ["References"]


class References:
    """Follows ``$ref`` within one schema; nothing is fetched."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._recursive: dict[str, bool] = {}

    def resolve(self, target: str) -> Mapping[str, Any]:
        """The schema that ``target`` names; chains of bare references are for the caller to follow."""
        if not target.startswith("#"):
            raise SchemaError(
                f"The schema refers to {target!r}, outside itself.",
                keyword="$ref",
                hint="Put the definition under $defs; nothing is fetched.",
            )
        node: Any = self._root
        for part in unquote(target[1:]).split("/"):
            if not part:
                continue
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping) and name in node:
                node = node[name]
            elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            else:
                raise SchemaError(f"The schema refers to {target!r}, which it does not define.", keyword="$ref")
        if isinstance(node, bool):
            return {} if node else {"enum": []}
        if not isinstance(node, Mapping):
            raise SchemaError(f"The schema's {target!r} is not a schema.", keyword="$ref")
        return node

    def followed(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """``schema`` with a leading reference, and those behind it, replaced by what they name."""
        seen: set[str] = set()
        while isinstance(target := schema.get("$ref"), str):
            if target in seen:
                raise SchemaError(f"The schema's {target!r} refers to nothing but itself.", keyword="$ref")
            seen.add(target)
            schema = {**self.resolve(target), **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def is_recursive(self, target: str) -> bool:
        if target not in self._recursive:
            seen: set[str] = set()
            waiting = list(_within(self.resolve(target)))
            while waiting:
                reference = waiting.pop()
                if reference not in seen:
                    seen.add(reference)
                    waiting.extend(_within(self.resolve(reference)))
            self._recursive[target] = target in seen
        return self._recursive[target]


def _within(schema: Any) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    if isinstance(target := schema.get("$ref"), str):
        yield target
    for part in subschemas(schema):
        yield from _within(part)
