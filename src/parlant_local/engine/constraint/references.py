"""Where a schema's references lead, and which of them lead back to themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from parlant_local.engine.constraint.bounds import shown
from parlant_local.engine.constraint.keywords import Schema, subschemas, vetted
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.rewriting import plainer
from parlant_local.errors import SchemaError

__all__ = ["References"]

_DIGITS = 9  # of a place in a list


class References:
    """Follows ``$ref`` within one schema; nothing is fetched."""

    def __init__(self, root: Mapping[str, Any], reading: Reading) -> None:
        self._root = root
        self.reading = reading
        self._places: dict[str, int] = {}
        self._recursive: set[str] = set()

    def read(self, schema: Mapping[str, Any]) -> Schema:
        """The keywords that bind, within bounds, those that no grammar says put into others."""
        self.reading.step()
        return plainer(vetted(schema, self.reading.bounds), self.reading)

    def resolve(self, target: str) -> Mapping[str, Any]:
        """The schema that ``target`` names; chains of bare references are for the caller to follow."""
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
            elif isinstance(node, list) and name.isdecimal() and len(name) <= _DIGITS and int(name) < len(node):
                node = node[int(name)]
            else:
                raise SchemaError(f"The schema refers to {shown(target)}, which it does not define.", keyword="$ref")
        if isinstance(node, bool):
            return {} if node else {"enum": []}
        if not isinstance(node, Mapping):
            raise SchemaError(f"The schema's {shown(target)} is not a schema.", keyword="$ref")
        return node

    def followed(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """``schema`` with a leading reference, and those behind it, replaced by what they name."""
        seen: set[str] = set()
        while isinstance(target := schema.get("$ref"), str):
            if target in seen:
                raise SchemaError(f"The schema's {shown(target)} refers to nothing but itself.", keyword="$ref")
            seen.add(target)
            self.reading.step()
            schema = {**self.resolve(target), **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def is_recursive(self, target: str) -> bool:
        if target not in self._places:
            self._find_cycles(target)
        return target in self._recursive

    def _find_cycles(self, start: str) -> None:
        """Tarjan's strongly connected components from ``start`` on: each reference is looked at once."""
        lows: dict[str, int] = {}
        open_: dict[str, None] = {}  # in the order of entering
        ways: list[tuple[str, Iterator[str]]] = []

        def enter(target: str) -> None:
            self._places[target] = lows[target] = len(self._places)
            open_[target] = None
            ways.append((target, iter(list(_within(self.resolve(target))))))

        enter(start)
        while ways:
            target, inner = ways[-1]
            self.reading.step()
            following = next(inner, None)
            if following is None:
                ways.pop()
                if ways:
                    lows[ways[-1][0]] = min(lows[ways[-1][0]], lows[target])
                if lows[target] == self._places[target]:
                    component = [open_.popitem()[0]]
                    while component[-1] != target:
                        component.append(open_.popitem()[0])
                    if len(component) > 1:
                        self._recursive.update(component)
            elif following not in self._places:
                enter(following)
            elif following in open_:
                lows[target] = min(lows[target], self._places[following])
                if following == target:
                    self._recursive.add(target)


def _within(schema: Any) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    if isinstance(target := schema.get("$ref"), str):
        yield target
    for part in subschemas(schema):
        yield from _within(part)
