"""Resolves a schema's references, and finds the recursive ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from parlant_local.engine.constraint.bounds import shown
from parlant_local.engine.constraint.keywords import Schema, subschemas, validated_keywords
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.rewriting import without_conditionals
from parlant_local.errors import SchemaError

__all__ = ["References"]

_MAX_INDEX_DIGITS = 9  # digits of a list index in a pointer


class References:
    """Follows ``$ref`` within one schema; nothing is fetched."""

    def __init__(self, root: Mapping[str, Any], reading: Reading) -> None:
        self._root = root
        self.reading = reading
        self._indices: dict[str, int] = {}
        self._recursive: set[str] = set()

    def read(self, schema: Mapping[str, Any]) -> Schema:
        """The schema's validated keywords, with conditionals rewritten as alternatives."""
        self.reading.step()
        return without_conditionals(validated_keywords(schema, self.reading.bounds), self.reading)

    def resolve(self, target: str) -> Mapping[str, Any]:
        """The schema at ``target``; the caller follows chains of references."""
        if not target.startswith("#"):
            raise SchemaError(
                f"The schema refers to {shown(target)}, outside itself.",
                keyword="$ref",
                hint="Put the definition under $defs; nothing is fetched.",
            )
        node: Any = self._root
        pointer = unquote(target[1:])
        for part in pointer.removeprefix("/").split("/") if pointer.strip("/") else ():
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping) and name in node:
                node = node[name]
            elif (
                isinstance(node, list) and name.isdecimal() and len(name) <= _MAX_INDEX_DIGITS and int(name) < len(node)
            ):
                node = node[int(name)]
            else:
                raise SchemaError(f"The schema refers to {shown(target)}, which it does not define.", keyword="$ref")
        if isinstance(node, bool):
            return {} if node else {"enum": []}
        if not isinstance(node, Mapping):
            raise SchemaError(f"The schema's {shown(target)} is not a schema.", keyword="$ref")
        return node

    def followed(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """``schema`` with its reference, and any chain of them, replaced by the target."""
        seen: set[str] = set()
        while isinstance(target := schema.get("$ref"), str):
            if target in seen:
                raise SchemaError(f"The schema's {shown(target)} refers to nothing but itself.", keyword="$ref")
            seen.add(target)
            self.reading.step()
            schema = {**self.resolve(target), **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def is_recursive(self, target: str) -> bool:
        if target not in self._indices:
            self._find_cycles(target)
        return target in self._recursive

    def _find_cycles(self, start: str) -> None:
        """Tarjan's strongly connected components from ``start``: each reference is visited once."""
        lows: dict[str, int] = {}
        on_stack: dict[str, None] = {}  # in the order of entering
        pending: list[tuple[str, Iterator[str]]] = []

        def push(target: str) -> None:
            self._indices[target] = lows[target] = len(self._indices)
            on_stack[target] = None
            pending.append((target, iter(list(_references_in(self.resolve(target))))))

        push(start)
        while pending:
            target, targets = pending[-1]
            self.reading.step()
            next_target = next(targets, None)
            if next_target is None:
                pending.pop()
                if pending:
                    lows[pending[-1][0]] = min(lows[pending[-1][0]], lows[target])
                if lows[target] == self._indices[target]:
                    component = [on_stack.popitem()[0]]
                    while component[-1] != target:
                        component.append(on_stack.popitem()[0])
                    if len(component) > 1:
                        self._recursive.update(component)
            elif next_target not in self._indices:
                push(next_target)
            elif next_target in on_stack:
                lows[target] = min(lows[target], self._indices[next_target])
                if next_target == target:
                    self._recursive.add(target)


def _references_in(schema: Any) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    if isinstance(target := schema.get("$ref"), str):
        yield target
    for part in subschemas(schema):
        yield from _references_in(part)
