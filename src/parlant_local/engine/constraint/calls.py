"""A template's own syntax of calls as a grammar, each argument typed by its tool's schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parlant_local.engine.constraint.bounds import exceeded
from parlant_local.engine.constraint.closing import closed_schema
from parlant_local.engine.constraint.marked import Marks
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.parsing.syntax import (
    ARGUMENTS,
    ID,
    INDEX,
    KEY,
    NAME,
    JsonBody,
    JsonCalls,
    Kind,
    TaggedBody,
    kind_of,
)
from parlant_local.engine.parsing.writing import written_value
from parlant_local.engine.requests import CallOf
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["CallGrammar", "call_grammar"]

_SPACED = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_ID = {"type": "string", "pattern": "^[a-zA-Z0-9]{9}$"}
_FORMATS = {
    "date": r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])",
    "time": r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
    "date-time": r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "email": r"[a-zA-Z0-9]+([._\-][a-zA-Z0-9]+){0,3}@[a-zA-Z0-9]{1,30}(\.[a-zA-Z0-9]{1,20}){1,3}",
    "ipv4": r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}",
    "uri": r"https?:\/\/[a-zA-Z0-9.\-]{1,60}(\/[a-zA-Z0-9._\-]{0,40}){0,6}",
}


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """Lark of one call of any of the tools."""

    text: str
    ways: tuple[Mapping[str, Any], ...] | None
    """The closed schemas of what is written, where it is JSON that can be landed."""
    unbound: frozenset[str]
    """Keywords of the schemas that a call may still break."""


def call_grammar(constraint: CallOf, model: LoadedModel, bounds: ConstraintSettings) -> CallGrammar:
    """Raises :class:`SchemaError` for schemas that can't be bound or exceed ``bounds``."""
    return _Grammar(constraint, model, bounds).whole()


class _Grammar:
    def __init__(self, constraint: CallOf, model: LoadedModel, bounds: ConstraintSettings) -> None:
        self._constraint = constraint
        self._bounds = bounds
        self._syntax = constraint.syntax
        self._marks = Marks(model)
        self._lines: list[str] = []
        self._rules: dict[str, str] = {}
        self._parts = 0

    def whole(self) -> CallGrammar:
        options: list[str] = []
        ways: list[Mapping[str, Any]] = []
        unbound: frozenset[str] = frozenset()
        for name, parameters in self._constraint.tools:
            closed = closed_schema(parameters, self._constraint.limits, self._bounds)
            options.append(self._call(name, closed.schema))
            ways.append(closed.schema)
            unbound |= closed.unbound
        text = "\n".join([f"start: {' | '.join(options)}", *self._lines, *self._marks.lines])
        tagged = isinstance(self._syntax.body, TaggedBody)
        return CallGrammar(text, None if tagged else tuple(ways), unbound)

    def _call(self, name: str, closed: Mapping[str, Any]) -> str:
        syntax = self._syntax
        # A call comes first: the white space that parts it from text has nothing to part.
        opening = syntax.first.removeprefix(syntax.begun) if syntax.begun else syntax.first.lstrip()
        first = _filled(opening, name, syntax.index_base)
        match syntax.body:
            case JsonBody():
                inside = [
                    self._marks.literal(first),
                    self._json(closed),
                    self._marks.literal(_filled(syntax.last, name)),
                ]
            case JsonCalls(shape=shape):
                whole = _shaped(json.loads(shape), name, closed, syntax.index_base)
                inside = [self._marks.literal(first), self._json(whole), self._marks.literal(syntax.last)]
            case TaggedBody():
                inside = [self._tagged(name, first, closed)]
        return self._rule("call", " ".join(part for part in inside if part))

    # -- arguments between marks --------------------------------------------------------------------------------------

    def _tagged(self, name: str, first: str, closed: Mapping[str, Any]) -> str:
        last = self._marks.literal(_filled(self._syntax.last, name))
        options = []
        for branch in self._branches(closed):
            properties = branch.get("properties", {})
            required = set(branch.get("required", ()))
            arguments = self._arguments(list(properties.items()), required, _definitions(closed))
            if arguments:
                options.append(f"{self._marks.literal(first)} {arguments} {last}".strip())
            if not required:
                options.append(self._marks.literal(self._emptied(name, first)))
        return " | ".join(dict.fromkeys(options)) if len(options) == 1 else f"({' | '.join(dict.fromkeys(options))})"

    def _emptied(self, name: str, first: str) -> str:
        syntax = self._syntax
        if syntax.empty is None:
            return first + _filled(syntax.last, name)
        return first.removesuffix(syntax.tail) + syntax.empty

    def _branches(self, closed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        definitions = _definitions(closed)
        schema = _followed(closed, definitions)
        branches = [_followed(branch, definitions) for branch in schema.get("anyOf", [schema])]
        objects = [branch for branch in branches if branch.get("type") == "object"]
        if not objects:
            raise SchemaError("The parameters of a tool must be a schema of type object.", keyword="type")
        return objects

    def _arguments(self, properties: list[tuple[str, Any]], required: set[str], definitions: Mapping[str, Any]) -> str:
        """The arguments in the schema's order, optional ones or not; at least one of them."""
        body = self._body
        between = self._marks.literal(body.between) if body.between else ""
        rest = ""
        lead = ""
        for key, schema in reversed(properties):
            argument = self._rule("arg", self._argument(key, schema, definitions))
            after = f" {rest}" if rest else ""
            started = f"{argument}{after}"
            lead_now = started if key in required or not lead else f"{started} | {lead}"
            follows = f"{between} {started}".strip()
            if key in required:
                rest = self._rule("rest", follows)
            else:
                rest = self._rule("rest", f"{follows} | {rest or _NOTHING}")
            lead = self._rule("lead", lead_now)
        return lead

    @property
    def _body(self) -> TaggedBody:
        assert isinstance(self._syntax.body, TaggedBody)
        return self._syntax.body

    def _argument(self, key: str, schema: Any, definitions: Mapping[str, Any]) -> str:
        options = []
        for kind, value in self._kinds(schema, definitions):
            opened = f"{self._body.open}{key}{self._body.assign[kind]}"
            close = self._body.close.replace(KEY, key)
            options.append(self._closed(kind, value, opened, close, definitions))
        return " | ".join(dict.fromkeys(options))

    def _kinds(
        self, schema: Any, definitions: Mapping[str, Any], depth: int = 8
    ) -> list[tuple[Kind, Mapping[str, Any]]]:
        """The simple schemas of which a closed one is made, each with its type."""
        self._parts += 1  # references are followed each time, so that they multiply
        if self._parts > self._bounds.max_parts:
            raise exceeded("The tools' schemas have more than {} parts", "max_parts", self._bounds.max_parts)
        schema = _followed(schema, definitions)
        if depth and "anyOf" in schema:
            return [found for branch in schema["anyOf"] for found in self._kinds(branch, definitions, depth - 1)]
        if "enum" in schema:
            return [(kind_of(value), {"enum": [value]}) for value in schema["enum"]]
        kind = schema.get("type")
        return [("number" if kind == "integer" else kind, schema)]

    def _closed(
        self, kind: Kind, schema: Mapping[str, Any], opened: str, close: str, definitions: Mapping[str, Any]
    ) -> str:
        """Mark, value and mark."""
        if kind == "string":
            return self._string(schema, opened, close)
        value = self._nested(kind, schema, definitions)
        ended = self._marks.literal(close)
        return f"{self._marks.literal(opened)} {value} {ended}".strip()

    def _string(self, schema: Mapping[str, Any], opened: str, close: str) -> str:
        body = self._body
        if body.quote and len(body.quote) == 1:
            # What stands between simple quotes can't hold them; JSON's own strings can hold anything.
            opened = opened.removesuffix(body.quote)
            return f"{self._marks.literal(opened)} {self._json(schema)} {self._marks.literal(close)}".strip()
        if "enum" in schema:
            return self._marks.literal(f"{opened}{schema['enum'][0]}{body.quote}{close}")
        return f"{self._marks.literal(opened)} {self._marks.up_to(_patterns(schema), body.quote + close)}"

    # -- values -------------------------------------------------------------------------------------------------------

    def _nested(self, kind: Kind, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        body = self._body
        if "enum" in schema:
            return self._listed(schema["enum"][0])
        if kind == "boolean":
            return f"({json.dumps(body.words['true'])} | {json.dumps(body.words['false'])})"
        if kind == "null":
            return json.dumps(body.words["null"])
        if kind == "object" and body.nested in ("braces", "elements"):
            return self._object(schema, definitions)
        if kind == "array" and body.nested in ("braces", "elements"):
            return self._array(schema, definitions)
        return self._json({**schema, **({"$defs": definitions} if definitions else {})})

    def _listed(self, value: Any) -> str:
        body = self._body
        if body.nested in ("braces", "elements") and isinstance(value, dict | list | str):
            return self._marks.literal(written_value(value, body))
        word = json.dumps(value, ensure_ascii=False)
        return self._marks.literal(body.words.get(word, word))

    def _any_of(self, schema: Any, definitions: Mapping[str, Any], before: str, after: str) -> str:
        """A value between two marks, in the template's own notation."""
        options = []
        for kind, one in self._kinds(schema, definitions):
            if kind != "string":
                value = self._nested(kind, one, definitions)
                options.append(f"{self._marks.literal(before)} {value} {self._marks.literal(after)}".strip())
            elif self._body.nested == "braces":
                options.append(self._string(one, before + self._body.quote, after))
            else:
                options.append(self._string(one, before, after))
        return self._rule("value", " | ".join(dict.fromkeys(options)))

    def _object(self, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        members, required = list(schema.get("properties", {}).items()), set(schema.get("required", ()))
        braces = self._body.nested == "braces"
        before, after, closing = self._body.element
        rest = lead = ""
        for key, part in reversed(members):
            marks = (f"{key}:", "") if braces else (f"{before}{key}{after}", f"{closing}{key}{after}")
            member = self._any_of(part, definitions, *marks)
            started = f"{member} {rest}".strip()
            follows = f'"," {started}' if braces else started
            lead = self._rule("lead", started if key in required or not lead else f"{started} | {lead}")
            rest = self._rule("rest", follows if key in required else f"{follows} | {rest or _NOTHING}")
        inside = f"({lead} | {_NOTHING})" if lead and not required else lead or _NOTHING
        return f'"{{" {inside} "}}"' if braces else inside

    def _array(self, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        braces = self._body.nested == "braces"
        before, after, closing = self._body.element
        key = self._body.item
        marks = ("", "") if braces else (f"{before}{key}{after}", f"{closing}{key}{after}")
        first = [self._any_of(part, definitions, *marks) for part in schema.get("prefixItems", ())]
        least, most = int(schema.get("minItems", 0)), int(schema.get("maxItems", len(first)))
        items = schema.get("items")
        comma = '"," ' if braces else ""
        more = self._any_of(items, definitions, *marks) if isinstance(items, Mapping) and most > len(first) else ""
        if first:
            inside = f" {comma}".join(first)
            if more:
                inside += f" ({comma}{more}){{{max(0, least - len(first))},{most - len(first)}}}"
        elif more:
            inside = f"{more} ({comma}{more}){{{max(0, least - 1)},{max(0, most - 1)}}}"
            inside = f"({inside} | {_NOTHING})" if least == 0 else inside
        else:
            inside = _NOTHING
        return f'"[" {inside} "]"' if braces else inside

    def _json(self, schema: Mapping[str, Any]) -> str:
        return self._rule("json", f"%json {json.dumps({'x-guidance': _SPACED, **schema}, ensure_ascii=False)}")

    def _rule(self, stem: str, body: str) -> str:
        if body not in self._rules:
            self._rules[body] = f"{stem}_{len(self._rules)}"
            self._lines.append(f"{self._rules[body]}: {body}")
        return self._rules[body]


_NOTHING = '""'


def _filled(literal: str, name: str, index: int = 0) -> str:
    return literal.replace(NAME, name).replace(INDEX, str(index)).replace(ID, "a1b2c3d4e")


def _shaped(shape: Any, name: str, closed: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The schema of a whole call from its shape."""
    definitions = _definitions(closed)
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


def _definitions(closed: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = closed.get("$defs", {})
    return found


def _followed(schema: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while isinstance(schema, Mapping) and "$ref" in schema:
        schema = definitions[str(schema["$ref"]).removeprefix("#/$defs/")]
    return schema if isinstance(schema, Mapping) else {}


def _patterns(schema: Mapping[str, Any]) -> list[str]:
    """Regular expressions that a text must match, all of them."""
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 600))
    found = [f"(?s:.{{{least},{most}}})"]
    for part in (schema, *schema.get("allOf", ())):
        if pattern := part.get("pattern"):
            found.append("|".join(map(_whole, _alternatives(pattern))))
    if (known := _FORMATS.get(str(schema.get("format")))) is not None:
        found.append(known)
    return found


def _alternatives(pattern: str) -> list[str]:
    """The parts of a pattern between bars that stand in no group or class."""
    parts, depth, start, index, in_class = [], 0, 0, 0, False
    while index < len(pattern):
        letter = pattern[index]
        if letter == "\\":
            index += 1
        elif in_class:
            in_class = letter != "]"
        elif letter in "([":
            in_class, depth = letter == "[", depth + (letter == "(")
        elif letter == ")":
            depth -= 1
        elif letter == "|" and not depth:
            parts.append(pattern[start:index])
            start = index + 1
        index += 1
    return [*parts, pattern[start:]]


def _whole(pattern: str) -> str:
    """A pattern that is searched for as one that matches a whole text, written between slashes."""
    starts, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    inner = re.sub(r"(?<!\\)((?:\\\\)*)/", r"\1\\/", pattern[1 if starts else 0 : -1 if ends else None])
    return f"{'' if starts else '(?s:.*)'}(?:{inner}){'' if ends else '(?s:.*)'}"
