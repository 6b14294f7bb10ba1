"""Grammars for tool calls in a template's own syntax, each argument constrained by its tool's schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from parlant_local.engine.constraint.bounds import exceeded
from parlant_local.engine.constraint.call_marks import CallMarks
from parlant_local.engine.constraint.closing import closed_schema
from parlant_local.engine.constraint.lexemes import (
    BARE_TEXT,
    MARKED_KEY,
    OTHER_THAN_TEXT,
    PLAIN_KEY,
    empty_together,
    free_keys,
    text_patterns,
    whole_pattern,
)
from parlant_local.engine.constraint.marked import Marks, regex_of
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.parsing.syntax import (
    ARGUMENTS,
    CALLED,
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
    return _Grammar(constraint, model, bounds).build()


class _Disambiguation(NamedTuple):
    """Patterns that keep a string from being parsed as a value of another type."""

    patterns: Sequence[str]
    never: Sequence[str]


_UNAMBIGUOUS = _Disambiguation((), ())


class _Grammar:
    def __init__(self, constraint: CallOf, model: LoadedModel, bounds: ConstraintSettings) -> None:
        self._constraint = constraint
        self._bounds = bounds
        self._syntax = constraint.syntax
        self._marks = Marks(model)
        self._lines: list[str] = []
        self._rules: dict[str, str] = {}
        self._parts = 0
        self._unbound: set[str] = set()
        self._closing: dict[str, None] = {}
        self._opening: dict[str, None] = {}

    def build(self) -> CallGrammar:
        options: list[str] = []
        schemas: list[Mapping[str, Any]] = []
        for name, parameters in self._constraint.tools:
            closed = closed_schema(parameters, self._constraint.limits, self._bounds)
            options.append(self._call(name, closed.schema))
            schemas.append(closed.schema)
            self._unbound |= closed.unbound
        text = "\n".join([f"start: {' | '.join(options)}", *self._lines, *self._marks.lines])
        tagged = isinstance(self._syntax.body, TaggedBody)
        around = tuple(self._around(name) for name, _ in self._constraint.tools)
        return CallGrammar(
            text, tuple(schemas), around, frozenset(self._unbound), self._call_marks() if tagged else None
        )

    def _around(self, name: str) -> str:
        body = self._syntax.body
        shape = body.shape if isinstance(body, JsonCalls) else ""
        return _with_holes_filled(self._syntax.first + shape + self._syntax.last, name, self._syntax.index_base)

    def _call_marks(self) -> CallMarks:
        """The marks that closing a call early may need; where there are very many, those of the first arguments."""
        kept = [
            list(islice(filter(None, map(self._marks.literal_text, marks)), _MAX_MARKS))
            for marks in (self._closing, self._opening)
        ]
        return CallMarks(tuple(dict.fromkeys(kept[0])), tuple(dict.fromkeys(kept[1])))

    def _call(self, name: str, closed: Mapping[str, Any]) -> str:
        syntax = self._syntax
        # A call begins the answer, so the white space that separates it from text is dropped.
        opening = syntax.first.removeprefix(syntax.begun) if syntax.begun else syntax.first.lstrip()
        first = _with_holes_filled(opening, name, syntax.index_base)
        match syntax.body:
            case JsonBody():
                inside = [
                    self._marks.literal(first),
                    self._json(closed),
                    self._marks.literal(_with_holes_filled(syntax.last, name)),
                ]
            case JsonCalls(shape=shape):
                whole = _schema_of_shape(json.loads(shape), name, closed, syntax.index_base)
                inside = [self._marks.literal(first), self._json(whole), self._marks.literal(syntax.last)]
            case TaggedBody():
                inside = [self._tagged(name, first, closed)]
        return self._rule("call", " ".join(part for part in inside if part))

    # -- arguments between marks --------------------------------------------------------------------------------------

    def _tagged(self, name: str, first: str, closed: Mapping[str, Any]) -> str:
        last_text = _with_holes_filled(self._syntax.last, name)
        last = self._marks.literal(last_text)
        self._closing |= dict.fromkeys((last_text, _with_holes_filled(self._syntax.empty or "", name) or last_text))
        options = []
        for branch in self._branches(closed):
            properties = branch.get("properties", {})
            required = set(branch.get("required", ()))
            definitions = _definitions(closed)
            arguments = self._arguments(list(properties.items()), required, definitions)
            arguments = self._with_open_keys(arguments, branch, definitions)
            if arguments:
                options.append(f"{self._marks.literal(first)} {arguments} {last}".strip())
            if not required and (not branch.get("minProperties") or not arguments):
                options.append(self._marks.literal(self._without_arguments(name, first)))
        return " | ".join(dict.fromkeys(options)) if len(options) == 1 else f"({' | '.join(dict.fromkeys(options))})"

    def _without_arguments(self, name: str, first: str) -> str:
        syntax = self._syntax
        if syntax.empty is None:
            return first + _with_holes_filled(syntax.last, name)
        return first.removesuffix(syntax.tail) + _with_holes_filled(syntax.empty, name)

    def _branches(self, closed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        definitions = _definitions(closed)
        schema = _resolved(closed, definitions)
        branches = [_resolved(branch, definitions) for branch in schema.get("anyOf", [schema])]
        objects = [branch for branch in branches if branch.get("type") == "object"]
        if not objects:
            raise SchemaError("The parameters of a tool must be a schema of type object.", keyword="type")
        return objects

    def _arguments(self, properties: list[tuple[str, Any]], required: set[str], definitions: Mapping[str, Any]) -> str:
        """The arguments in schema order, optional ones included; at least one of them."""
        body = self._body
        between = self._marks.literal(body.between) if body.between else ""
        rest = ""
        lead = ""
        for key, schema in reversed(properties):
            argument = self._rule("arg", self._argument(key, schema, definitions, required=key in required))
            after = f" {rest}" if rest else ""
            started = f"{argument}{after}"
            lead_now = started if key in required or not lead else f"{started} | {lead}"
            follows = f"{between} {started}".strip()
            if key in required:
                rest = self._rule("rest", follows)
            else:
                rest = self._rule("rest", f"{follows} | {rest or _EMPTY}")
            lead = self._rule("lead", lead_now)
        return lead

    def _with_open_keys(self, arguments: str, branch: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        """The declared arguments, then ones with keys of the model's choice."""
        open_member = "" if KEY in self._body.close else self._open_member(branch, self._open_argument, definitions)
        return self._repeated(arguments, open_member, branch, self._marks.literal(self._body.between))

    def _repeated(self, arguments: str, open_member: str, branch: Mapping[str, Any], between: str) -> str:
        declared = len(branch.get("properties", {}))
        min_count = max(0, int(branch.get("minProperties", 0)) - declared)
        max_count = int(branch.get("maxProperties", declared)) - declared
        if min_count and not open_member:
            raise SchemaError(
                f"A tool's parameters need {min_count} keys of the model's choice, which the template's call syntax can't express.",
                keyword="minProperties",
                hint="Declare the keys as properties, or remove minProperties.",
            )
        if min_count > 1:  # a key could be repeated
            self._unbound.add("minProperties")
        if not open_member or max_count < 1:
            return arguments
        follows = f"{between} {open_member}".strip()
        if arguments:
            return f"{arguments} ({follows}){{{min_count},{max_count}}}"
        return f"{open_member} ({follows}){{{max(0, min_count - 1)},{max_count - 1}}}" if max_count > 1 else open_member

    def _open_member(
        self,
        branch: Mapping[str, Any],
        member: Callable[[list[str], list[str], Any, Mapping[str, Any]], list[str]],
        definitions: Mapping[str, Any],
    ) -> str:
        """A member whose key the schema leaves open, written by ``member``; empty where there can be none."""
        declared_names = [regex_of(name) for name in branch.get("properties", {})]
        options: list[str] = []
        for pattern, value in free_keys(branch):
            patterns = [self._key_text, *([] if pattern is None else [whole_pattern(pattern)])]
            if not empty_together(patterns):
                options += member(patterns, declared_names, value, definitions)
        return self._rule("free", " | ".join(dict.fromkeys(options))) if options else ""

    @property
    def _key_text(self) -> str:
        return MARKED_KEY if self._body.open else PLAIN_KEY

    def _open_argument(
        self, patterns: list[str], declared_names: list[str], schema: Any, definitions: Mapping[str, Any]
    ) -> list[str]:
        body = self._body
        shared = "" if body.typed else body.assign["number"]
        kinds = self._kinds(schema, definitions)
        options = []
        for kind, value in kinds:
            head = shared or body.assign[kind]
            key = self._marks.text_up_to(patterns, head, declared_names)
            self._opening[head] = None
            valued = self._marked_value(
                kind, value, body.assign[kind].removeprefix(head), body.close, definitions, self._ambiguities(kinds)
            )
            options.append(f"{self._marks.literal(body.open)} {key} {valued}".strip())
        return options

    @property
    def _body(self) -> TaggedBody:
        assert isinstance(self._syntax.body, TaggedBody)
        return self._syntax.body

    def _argument(self, key: str, schema: Any, definitions: Mapping[str, Any], *, required: bool) -> str:
        options = []
        kinds = self._kinds(schema, definitions)
        for kind, value in kinds:
            opened = f"{self._body.open}{key}{self._body.assign[kind]}"
            close = self._body.close.replace(KEY, key)
            if required:
                self._opening[opened] = None
            options.append(self._marked_value(kind, value, opened, close, definitions, self._ambiguities(kinds)))
        return " | ".join(dict.fromkeys(options))

    def _kinds(
        self, schema: Any, definitions: Mapping[str, Any], depth: int = 8
    ) -> list[tuple[Kind, Mapping[str, Any]]]:
        """The single-type schemas that a closed one consists of, each with its type."""
        self._parts += 1  # references are expanded at each use, so they multiply
        if self._parts > self._bounds.max_parts:
            raise exceeded("The tools' schemas have more than {} parts", "max_parts", self._bounds.max_parts)
        schema = _resolved(schema, definitions)
        if depth and "anyOf" in schema:
            return [found for branch in schema["anyOf"] for found in self._kinds(branch, definitions, depth - 1)]
        if "enum" in schema:
            return [(kind_of(value), {"enum": [value]}) for value in schema["enum"]]
        kind = schema.get("type")
        return [("number" if kind == "integer" else kind, schema)]

    def _ambiguities(self, kinds: Sequence[tuple[Kind, Any]]) -> _Disambiguation:
        """How to keep strings apart from values of the other types, where no mark does."""
        if self._body.quote or self._body.typed:
            return _UNAMBIGUOUS
        others = dict.fromkeys(OTHER_THAN_TEXT[kind] for kind, _ in kinds if kind in OTHER_THAN_TEXT)
        never = [rf"[ \t\r\n]*({'|'.join(others)})[ \t\r\n]*"] if others else []
        return _Disambiguation([BARE_TEXT] if {"array", "object"} & {kind for kind, _ in kinds} else [], never)

    def _marked_value(
        self,
        kind: Kind,
        schema: Mapping[str, Any],
        opened: str,
        close: str,
        definitions: Mapping[str, Any],
        disambiguation: _Disambiguation,
    ) -> str:
        """A value between its marks."""
        self._closing |= dict.fromkeys((close, self._body.quote + close))
        if kind == "string":
            return self._string(schema, opened, close, disambiguation)
        value = self._value(kind, schema, definitions)
        last_text = self._marks.literal(close)
        return f"{self._marks.literal(opened)} {value} {last_text}".strip()

    def _string(
        self, schema: Mapping[str, Any], opened: str, close: str, disambiguation: _Disambiguation = _UNAMBIGUOUS
    ) -> str:
        body = self._body
        if body.quote and len(body.quote) == 1:
            # Text between single quotes can't contain them; JSON strings can contain anything.
            opened = opened.removesuffix(body.quote)
            return f"{self._marks.literal(opened)} {self._json(schema)} {self._marks.literal(close)}".strip()
        if "enum" in schema:
            return self._marks.literal(f"{opened}{schema['enum'][0]}{body.quote}{close}")
        patterns = text_patterns(schema)
        # A string that can only look like another value is better than none.
        if "pattern" in schema and empty_together([*patterns, *disambiguation.patterns], disambiguation.never):
            disambiguation = _UNAMBIGUOUS
        loose = not {"pattern", "format", "allOf"} & schema.keys()
        text = self._marks.text_up_to(
            [*patterns, *disambiguation.patterns], body.quote + close, disambiguation.never, loose=loose
        )
        return f"{self._marks.literal(opened)} {text}".strip()

    # -- values -------------------------------------------------------------------------------------------------------

    def _value(self, kind: Kind, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        body = self._body
        if "enum" in schema:
            return self._enumerated(schema["enum"][0])
        if kind == "boolean":
            return f"({json.dumps(body.words['true'])} | {json.dumps(body.words['false'])})"
        if kind == "null":
            return json.dumps(body.words["null"])
        if kind == "object" and body.nested in ("braces", "elements"):
            return self._object(schema, definitions)
        if kind == "array" and body.nested in ("braces", "elements"):
            return self._array(schema, definitions)
        return self._json({**schema, **({"$defs": definitions} if definitions else {})})

    def _enumerated(self, value: Any) -> str:
        body = self._body
        if body.nested in ("braces", "elements") and isinstance(value, dict | list | str):
            return self._marks.literal(written_value(value, body))
        word = json.dumps(value, ensure_ascii=False)
        return self._marks.literal(body.words.get(word, word))

    def _value_between(self, schema: Any, definitions: Mapping[str, Any], before: str, after: str) -> str:
        """A value between two marks, in the template's notation."""
        options = []
        kinds = self._kinds(schema, definitions)
        self._closing |= dict.fromkeys((after, self._body.quote + after))
        for kind, one in kinds:
            if kind != "string":
                value = self._value(kind, one, definitions)
                options.append(f"{self._marks.literal(before)} {value} {self._marks.literal(after)}".strip())
            elif self._body.nested == "braces":
                options.append(self._string(one, before + self._body.quote, after))
            else:
                options.append(self._string(one, before, after, self._ambiguities(kinds)))
        return self._rule("value", " | ".join(dict.fromkeys(options)))

    def _object(self, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        members, required = list(schema.get("properties", {}).items()), set(schema.get("required", ()))
        braces = self._body.nested == "braces"
        before, after, closing = self._body.element
        rest = lead = ""
        for key, part in reversed(members):
            marks = (f"{key}:", "") if braces else (f"{before}{key}{after}", f"{closing}{key}{after}")
            member = self._value_between(part, definitions, *marks)
            if key in required:
                self._opening[marks[0]] = None
            started = f"{member} {rest}".strip()
            follows = f'"," {started}' if braces else started
            lead = self._rule("lead", started if key in required or not lead else f"{started} | {lead}")
            rest = self._rule("rest", follows if key in required else f"{follows} | {rest or _EMPTY}")
        open_member = self._open_member(schema, self._open_object_member, definitions) if braces else ""
        lead = self._repeated(lead, open_member, schema, '","' if braces else "")
        inside = f"({lead} | {_EMPTY})" if lead and not required and not _needs_keys(schema) else lead or _EMPTY
        return f'"{{" {inside} "}}"' if braces else inside

    def _open_object_member(
        self, patterns: list[str], declared_names: list[str], schema: Any, definitions: Mapping[str, Any]
    ) -> list[str]:
        self._opening[":"] = None
        return [
            f"{self._marks.text_up_to(patterns, ':', declared_names)} {self._value_between(schema, definitions, '', '')}"
        ]

    def _array(self, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        braces = self._body.nested == "braces"
        before, after, closing = self._body.element
        key = self._body.item
        marks = ("", "") if braces else (f"{before}{key}{after}", f"{closing}{key}{after}")
        first = [self._value_between(part, definitions, *marks) for part in schema.get("prefixItems", ())]
        min_count, max_count = int(schema.get("minItems", 0)), int(schema.get("maxItems", len(first)))
        items = schema.get("items")
        comma = '"," ' if braces else ""
        more = (
            self._value_between(items, definitions, *marks)
            if isinstance(items, Mapping) and max_count > len(first)
            else ""
        )
        if first:
            inside = f" {comma}".join(first)
            if more:
                inside += f" ({comma}{more}){{{max(0, min_count - len(first))},{max_count - len(first)}}}"
        elif more:
            inside = f"{more} ({comma}{more}){{{max(0, min_count - 1)},{max(0, max_count - 1)}}}"
            inside = f"({inside} | {_EMPTY})" if min_count == 0 else inside
        else:
            inside = _EMPTY
        return f'"[" {inside} "]"' if braces else inside

    def _json(self, schema: Mapping[str, Any]) -> str:
        return self._rule("json", f"%json {json.dumps({'x-guidance': _SPACED, **schema}, ensure_ascii=False)}")

    def _rule(self, stem: str, body: str) -> str:
        if body not in self._rules:
            self._rules[body] = f"{stem}_{len(self._rules)}"
            self._lines.append(f"{self._rules[body]}: {body}")
        return self._rules[body]


_EMPTY = '""'
_MAX_MARKS = 200


def _with_holes_filled(literal: str, name: str, index: int = 0) -> str:
    return literal.replace(NAME, name).replace(CALLED, name).replace(INDEX, str(index)).replace(ID, "a1b2c3d4e")


def _schema_of_shape(shape: Any, name: str, closed: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The schema of a whole call, from its shape."""
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


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while isinstance(schema, Mapping) and "$ref" in schema:
        schema = definitions[str(schema["$ref"]).removeprefix("#/$defs/")]
    return schema if isinstance(schema, Mapping) else {}


def _needs_keys(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("minProperties"))
