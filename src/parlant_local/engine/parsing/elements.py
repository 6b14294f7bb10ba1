"""Parses values whose objects and arrays are elements: ``<address><city>Paris</city></address>``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from parlant_local.engine.parsing.literals import MoreNeeded
from parlant_local.engine.parsing.syntax import TaggedBody
from parlant_local.engine.parsing.values import kinds_of, property_schema, typed_value

__all__ = ["read_elements"]

_MAX_DEPTH = 32


def read_elements(
    text: str, index: int, key: str, schema: Any, root: Mapping[str, Any], body: TaggedBody, *, final: bool
) -> tuple[Any, int]:
    """The value of the element ``key`` whose inside begins at ``index``, and the index after the element."""
    return _Elements(text, root, body, final=final).inside(index, key, schema, 0)


class _Elements:
    def __init__(self, text: str, root: Mapping[str, Any], body: TaggedBody, *, final: bool) -> None:
        self._text = text
        self._root = root
        self._item = body.item
        self._before, self._after, self._closing = body.element
        self._tag = re.compile(re.escape(self._before) + r"([^\s<>/\[\]]{1,256})" + re.escape(self._after))
        self._final = final

    def inside(self, index: int, key: str, schema: Any, depth: int) -> tuple[Any, int]:
        if depth > _MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        kinds, _ = kinds_of(schema, self._root)
        end_mark = f"{self._closing}{key}{self._after}"
        text = self._text
        if kinds & {"array", "object"} and (tag := self._tag.match(text, index)):
            children: list[tuple[str, Any]] = []
            while tag is not None:
                value, index = self.inside(tag.end(), tag[1], self._child(schema, tag[1]), depth + 1)
                children.append((tag[1], value))
                tag = self._tag.match(text, index)
            if text.startswith(end_mark, index):
                return self._joined(children, kinds), index + len(end_mark)
            if not self._final and end_mark.startswith(text[index : index + len(end_mark)]):
                raise MoreNeeded
            if not self._final and self._begins(index):
                raise MoreNeeded
            raise ValueError(f"the element {key!r} is not terminated")
        end = text.find(end_mark, index)
        if end < 0:
            if self._final:
                raise ValueError(f"the element {key!r} is not terminated")
            raise MoreNeeded
        raw = text[index:end]
        if not raw and "string" not in kinds:
            empty: Any = {} if kinds == {"object"} else [] if kinds == {"array"} else None
            return empty, end + len(end_mark)
        return typed_value(raw, schema, self._root), end + len(end_mark)

    def _begins(self, index: int) -> bool:
        """Whether an incomplete tag begins at ``index``."""
        rest = self._text[index : index + len(self._before) + 300]
        return self._before.startswith(rest) or (
            rest.startswith(self._before) and self._after not in rest[len(self._before) :]
        )

    def _child(self, schema: Any, key: str) -> Any:
        if not isinstance(schema, Mapping):
            return True
        if key == self._item and "items" in schema:
            return schema["items"]
        holder = dict(schema)
        return property_schema(
            {**holder, **{k: v for k, v in self._root.items() if k in ("$defs", "definitions")}}, key
        )

    def _joined(self, children: list[tuple[str, Any]], kinds: frozenset[str]) -> Any:
        names = {name for name, _ in children}
        if names == {self._item} and "array" in kinds:
            return [value for _, value in children]
        return dict(children)
