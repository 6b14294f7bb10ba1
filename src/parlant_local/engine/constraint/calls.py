"""Grammars for tool calls in a template's own syntax, each argument constrained by its tool's schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from parlant_local.engine.constraint.call_arguments import CallArguments
from parlant_local.engine.constraint.call_marks import CallMarks
from parlant_local.engine.constraint.call_rules import CallRules, definitions_of
from parlant_local.engine.constraint.closing import closed_schema
from parlant_local.engine.constraint.marked import Marks
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.parsing.syntax import (
    ARGUMENTS,
    CALLED,
    ID,
    INDEX,
    NAME,
    JsonBody,
    JsonCalls,
    TaggedBody,
)
from parlant_local.engine.requests import CallOf
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["CallGrammar", "call_grammar"]

_ID = {"type": "string", "pattern": "^[a-zA-Z0-9]{9}$"}
_MAX_MARKS = 200


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """A Lark grammar of one call to any of the tools."""

    text: str
    schemas: tuple[Mapping[str, Any], ...]
    """The closed schemas of each tool's arguments."""
    around: tuple[str, ...]
    """The text around each tool's arguments."""
    unbound: frozenset[str]
    """Keywords of the schemas that a call may still violate."""
    marks: CallMarks | None
    """The marks around arguments that are not JSON."""


def call_grammar(constraint: CallOf, model: LoadedModel, bounds: ConstraintSettings) -> CallGrammar:
    """Raises :class:`SchemaError` for schemas that can't be enforced or exceed ``bounds``."""
    rules = CallRules(Marks(model), bounds)
    calls = _Calls(constraint, rules)
    options: list[str] = []
    schemas: list[Mapping[str, Any]] = []
    for name, parameters in constraint.tools:
        closed = closed_schema(parameters, constraint.limits, bounds)
        options.append(calls.call(name, closed.schema))
        schemas.append(closed.schema)
        rules.unbound |= closed.unbound
    return CallGrammar(
        text="\n".join([f"start: {' | '.join(options)}", *rules.lines, *rules.marks.lines]),
        schemas=tuple(schemas),
        around=tuple(calls.around(name) for name, _ in constraint.tools),
        unbound=frozenset(rules.unbound),
        marks=_marks_of(rules) if isinstance(constraint.syntax.body, TaggedBody) else None,
    )


class _Calls:
    def __init__(self, constraint: CallOf, rules: CallRules) -> None:
        self._syntax = constraint.syntax
        self._rules = rules
        self._literal = rules.marks.literal

    def call(self, name: str, closed: Mapping[str, Any]) -> str:
        syntax = self._syntax
        # A call begins the answer, so the white space that separates it from text is dropped.
        opening = syntax.first.removeprefix(syntax.begun) if syntax.begun else syntax.first.lstrip()
        first = _with_holes_filled(opening, name, syntax.index_base)
        match syntax.body:
            case JsonBody():
                last = _with_holes_filled(syntax.last, name)
                inside = [self._literal(first), self._rules.json(closed), self._literal(last)]
            case JsonCalls(shape=shape):
                whole = _schema_of_shape(json.loads(shape), name, closed, syntax.index_base)
                inside = [self._literal(first), self._rules.json(whole), self._literal(syntax.last)]
            case TaggedBody():
                inside = [self._tagged(name, first, closed, syntax.body)]
        return self._rules.rule("call", " ".join(part for part in inside if part))

    def around(self, name: str) -> str:
        """The text around its arguments."""
        body = self._syntax.body
        shape = body.shape if isinstance(body, JsonCalls) else ""
        return _with_holes_filled(self._syntax.first + shape + self._syntax.last, name, self._syntax.index_base)

    def _tagged(self, name: str, first: str, closed: Mapping[str, Any], body: TaggedBody) -> str:
        last = _with_holes_filled(self._syntax.last, name)
        self._rules.closing |= dict.fromkeys((last, _with_holes_filled(self._syntax.empty or "", name) or last))
        without = first + last
        if self._syntax.empty is not None:
            without = first.removesuffix(self._syntax.tail) + _with_holes_filled(self._syntax.empty, name)
        return CallArguments(self._rules, body).between(closed, first, last, without)


def _marks_of(rules: CallRules) -> CallMarks:
    """The marks that closing a call early may need; where there are very many, those of the first arguments."""
    closing, opening = (
        tuple(dict.fromkeys(islice(filter(None, map(rules.marks.literal_text, marks)), _MAX_MARKS)))
        for marks in (rules.closing, rules.opening)
    )
    return CallMarks(closing, opening)


def _with_holes_filled(literal: str, name: str, index: int = 0) -> str:
    return literal.replace(NAME, name).replace(CALLED, name).replace(INDEX, str(index)).replace(ID, "a1b2c3d4e")


def _schema_of_shape(shape: Any, name: str, closed: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The schema of a whole call, from its shape."""
    definitions = definitions_of(closed)
    arguments = {key: value for key, value in closed.items() if key != "$defs"}

    def schema_of(part: Any) -> dict[str, Any]:
        if isinstance(part, dict):
            properties = {(name if key == NAME else key): schema_of(item) for key, item in part.items()}
            return {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        if part == ARGUMENTS:
            return arguments
        if part == ID:
            return _ID
        return {"const": {NAME: name, INDEX: str(index)}.get(part, part) if isinstance(part, str) else part}

    whole = schema_of(shape)
    return {**whole, "$defs": definitions} if definitions else whole
