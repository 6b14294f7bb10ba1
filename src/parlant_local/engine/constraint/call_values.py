"""Values of arguments between a template's marks: text, words, and what is nested in them, in the template's notation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from parlant_local.engine.constraint.call_rules import EMPTY, CallRules
from parlant_local.engine.constraint.lexemes import BARE_TEXT, OTHER_THAN_TEXT, empty_together, text_patterns
from parlant_local.engine.constraint.open_keys import open_member, with_open_members
from parlant_local.engine.parsing.syntax import Kind, TaggedBody
from parlant_local.engine.parsing.writing import written_value

__all__ = ["CallValues", "Disambiguation"]


class Disambiguation(NamedTuple):
    """Patterns that keep a string from being parsed as a value of another type."""

    patterns: Sequence[str]
    never: Sequence[str]


_UNAMBIGUOUS = Disambiguation((), ())


class CallValues:
    def __init__(self, rules: CallRules, body: TaggedBody) -> None:
        self._rules = rules
        self._marks = rules.marks
        self._body = body
        self._nests = body.nested in ("braces", "elements")
        self._braces = body.nested == "braces"

    def marked(
        self,
        kind: Kind,
        schema: Mapping[str, Any],
        opened: str,
        close: str,
        definitions: Mapping[str, Any],
        disambiguation: Disambiguation,
    ) -> str:
        """A value between its marks."""
        self._rules.closing |= dict.fromkeys((close, self._body.quote + close))
        if kind == "string":
            return self._string(schema, opened, close, disambiguation)
        value = self._value(kind, schema, definitions)
        last_text = self._marks.literal(close)
        return f"{self._marks.literal(opened)} {value} {last_text}".strip()

    def ambiguities(self, kinds: Sequence[tuple[Kind, Any]]) -> Disambiguation:
        """How to keep strings apart from values of the other types, where no mark does."""
        if self._body.quote or self._body.typed:
            return _UNAMBIGUOUS
        others = dict.fromkeys(OTHER_THAN_TEXT[kind] for kind, _ in kinds if kind in OTHER_THAN_TEXT)
        never = [rf"[ \t\r\n]*({'|'.join(others)})[ \t\r\n]*"] if others else []
        return Disambiguation([BARE_TEXT] if {"array", "object"} & {kind for kind, _ in kinds} else [], never)

    def _string(
        self, schema: Mapping[str, Any], opened: str, close: str, disambiguation: Disambiguation = _UNAMBIGUOUS
    ) -> str:
        body = self._body
        if body.quote and len(body.quote) == 1:
            # Text between single quotes can't contain them; JSON strings can contain anything.
            opened = opened.removesuffix(body.quote)
            return f"{self._marks.literal(opened)} {self._rules.json(schema)} {self._marks.literal(close)}".strip()
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

    def _value(self, kind: Kind, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        words = self._body.words
        if "enum" in schema:
            return self._enumerated(schema["enum"][0])
        if kind == "boolean":
            return f"({json.dumps(words['true'])} | {json.dumps(words['false'])})"
        if kind == "null":
            return json.dumps(words["null"])
        if kind == "object" and self._nests:
            return self._object(schema, definitions)
        if kind == "array" and self._nests:
            return self._array(schema, definitions)
        return self._rules.json({**schema, **({"$defs": definitions} if definitions else {})})

    def _enumerated(self, value: Any) -> str:
        if self._nests and isinstance(value, dict | list | str):
            return self._marks.literal(written_value(value, self._body))
        word = json.dumps(value, ensure_ascii=False)
        return self._marks.literal(self._body.words.get(word, word))

    def _between(self, schema: Any, definitions: Mapping[str, Any], before: str, after: str) -> str:
        """A nested value between two marks."""
        options = []
        kinds = self._rules.kinds(schema, definitions)
        self._rules.closing |= dict.fromkeys((after, self._body.quote + after))
        for kind, one in kinds:
            if kind != "string":
                value = self._value(kind, one, definitions)
                options.append(f"{self._marks.literal(before)} {value} {self._marks.literal(after)}".strip())
            elif self._braces:
                options.append(self._string(one, before + self._body.quote, after))
            else:
                options.append(self._string(one, before, after, self.ambiguities(kinds)))
        return self._rules.rule("value", " | ".join(dict.fromkeys(options)))

    def _marks_around(self, key: str) -> tuple[str, str]:
        """Of the element of that name."""
        before, after, closing = self._body.element
        return f"{before}{key}{after}", f"{closing}{key}{after}"

    def _object(self, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        members, required = list(schema.get("properties", {}).items()), set(schema.get("required", ()))
        rule = self._rules.rule
        rest = lead = ""
        for key, part in reversed(members):
            marks = (f"{key}:", "") if self._braces else self._marks_around(key)
            member = self._between(part, definitions, *marks)
            if key in required:
                self._rules.opening[marks[0]] = None
            started = f"{member} {rest}".strip()
            follows = f'"," {started}' if self._braces else started
            lead = rule("lead", started if key in required or not lead else f"{started} | {lead}")
            rest = rule("rest", follows if key in required else f"{follows} | {rest or EMPTY}")
        free = open_member(self._rules, self._body, schema, self._open_member, definitions) if self._braces else ""
        lead = with_open_members(self._rules, lead, free, schema, '","' if self._braces else "")
        inside = f"({lead} | {EMPTY})" if lead and not required and not schema.get("minProperties") else lead or EMPTY
        return f'"{{" {inside} "}}"' if self._braces else inside

    def _open_member(
        self, patterns: list[str], declared_names: list[str], schema: Any, definitions: Mapping[str, Any]
    ) -> list[str]:
        self._rules.opening[":"] = None
        key = self._marks.text_up_to(patterns, ":", declared_names)
        return [f"{key} {self._between(schema, definitions, '', '')}"]

    def _array(self, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        marks = ("", "") if self._braces else self._marks_around(self._body.item)
        comma = '"," ' if self._braces else ""
        first = [self._between(part, definitions, *marks) for part in schema.get("prefixItems", ())]
        min_count, max_count = int(schema.get("minItems", 0)), int(schema.get("maxItems", len(first)))
        items = schema.get("items")
        has_more = isinstance(items, Mapping) and max_count > len(first)
        more = self._between(items, definitions, *marks) if has_more else ""
        if first:
            inside = f" {comma}".join(first)
            if more:
                inside += f" ({comma}{more}){{{max(0, min_count - len(first))},{max_count - len(first)}}}"
        elif more:
            inside = f"{more} ({comma}{more}){{{max(0, min_count - 1)},{max(0, max_count - 1)}}}"
            inside = f"({inside} | {EMPTY})" if min_count == 0 else inside
        else:
            inside = EMPTY
        return f'"[" {inside} "]"' if self._braces else inside
