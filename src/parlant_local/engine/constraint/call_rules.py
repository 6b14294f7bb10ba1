"""The rules of a call's grammar as they come together: numbered, each text once, with the marks that they use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parlant_local.engine.constraint.bounds import exceeded
from parlant_local.engine.constraint.marked import Marks
from parlant_local.engine.parsing.syntax import Kind, kind_of
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["EMPTY", "CallRules", "definitions_of", "resolved"]

EMPTY = '""'
_SPACED = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class CallRules:
    def __init__(self, marks: Marks, bounds: ConstraintSettings) -> None:
        self.marks = marks
        self.lines: list[str] = []
        self.unbound: set[str] = set()
        """Keywords of the schemas that a call may still violate."""
        self.closing: dict[str, None] = {}
        """Marks that end a value, or the call."""
        self.opening: dict[str, None] = {}
        """Marks that begin a value that can't be left out."""
        self._bounds = bounds
        self._rules: dict[str, str] = {}
        self._parts = 0

    def rule(self, stem: str, body: str) -> str:
        if body not in self._rules:
            self._rules[body] = f"{stem}_{len(self._rules)}"
            self.lines.append(f"{self._rules[body]}: {body}")
        return self._rules[body]

    def json(self, schema: Mapping[str, Any]) -> str:
        return self.rule("json", f"%json {json.dumps({'x-guidance': _SPACED, **schema}, ensure_ascii=False)}")

    def kinds(
        self, schema: Any, definitions: Mapping[str, Any], depth: int = 8
    ) -> list[tuple[Kind, Mapping[str, Any]]]:
        """The single-type schemas that a closed one consists of, each with its type."""
        self._parts += 1  # references are expanded at each use, so they multiply
        if self._parts > self._bounds.max_parts:
            raise exceeded("The tools' schemas have more than {} parts", "max_parts", self._bounds.max_parts)
        schema = resolved(schema, definitions)
        if depth and "anyOf" in schema:
            return [found for branch in schema["anyOf"] for found in self.kinds(branch, definitions, depth - 1)]
        if "enum" in schema:
            return [(kind_of(value), {"enum": [value]}) for value in schema["enum"]]
        kind = schema.get("type")
        return [("number" if kind == "integer" else kind, schema)]


def definitions_of(closed: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = closed.get("$defs", {})
    return found


def resolved(schema: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while isinstance(schema, Mapping) and "$ref" in schema:
        schema = definitions[str(schema["$ref"]).removeprefix("#/$defs/")]
    return schema if isinstance(schema, Mapping) else {}
