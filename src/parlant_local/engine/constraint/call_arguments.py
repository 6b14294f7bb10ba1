"""The arguments of a call between a template's marks: in the schema's order, optional ones left out or not, open keys last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parlant_local.engine.constraint.call_rules import EMPTY, CallRules, definitions_of, resolved
from parlant_local.engine.constraint.call_values import CallValues
from parlant_local.engine.constraint.open_keys import open_member, with_open_members
from parlant_local.engine.parsing.syntax import KEY, TaggedBody
from parlant_local.errors import SchemaError

__all__ = ["CallArguments"]


class CallArguments:
    def __init__(self, rules: CallRules, body: TaggedBody) -> None:
        self._rules = rules
        self._marks = rules.marks
        self._body = body
        self._values = CallValues(rules, body)

    def between(self, closed: Mapping[str, Any], first: str, last: str, without: str) -> str:
        """A call with the arguments of ``closed`` between ``first`` and ``last``, or ``without`` any where the schema allows it."""
        last_literal = self._marks.literal(last)
        definitions = definitions_of(closed)
        options = []
        for branch in self._branches(closed, definitions):
            required = set(branch.get("required", ()))
            arguments = self._declared(list(branch.get("properties", {}).items()), required, definitions)
            arguments = self._with_open_keys(arguments, branch, definitions)
            if arguments:
                options.append(f"{self._marks.literal(first)} {arguments} {last_literal}".strip())
            if not required and (not branch.get("minProperties") or not arguments):
                options.append(self._marks.literal(without))
        return " | ".join(dict.fromkeys(options)) if len(options) == 1 else f"({' | '.join(dict.fromkeys(options))})"

    def _branches(self, closed: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        schema = resolved(closed, definitions)
        branches = [resolved(branch, definitions) for branch in schema.get("anyOf", [schema])]
        objects = [branch for branch in branches if branch.get("type") == "object"]
        if not objects:
            raise SchemaError("The parameters of a tool must be a schema of type object.", keyword="type")
        return objects

    def _declared(self, properties: list[tuple[str, Any]], required: set[str], definitions: Mapping[str, Any]) -> str:
        """At least one of them."""
        between = self._marks.literal(self._body.between) if self._body.between else ""
        rest = lead = ""
        for key, schema in reversed(properties):
            argument = self._rules.rule("arg", self._argument(key, schema, definitions, required=key in required))
            started = f"{argument} {rest}" if rest else argument
            lead_now = started if key in required or not lead else f"{started} | {lead}"
            follows = f"{between} {started}".strip()
            rest = self._rules.rule("rest", follows if key in required else f"{follows} | {rest or EMPTY}")
            lead = self._rules.rule("lead", lead_now)
        return lead

    def _argument(self, key: str, schema: Any, definitions: Mapping[str, Any], *, required: bool) -> str:
        options = []
        kinds = self._rules.kinds(schema, definitions)
        for kind, value in kinds:
            opened = f"{self._body.open}{key}{self._body.assign[kind]}"
            close = self._body.close.replace(KEY, key)
            if required:
                self._rules.opening[opened] = None
            apart = self._values.ambiguities(kinds)
            options.append(self._values.marked(kind, value, opened, close, definitions, apart))
        return " | ".join(dict.fromkeys(options))

    def _with_open_keys(self, declared: str, branch: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
        free = ""
        if KEY not in self._body.close:
            free = open_member(self._rules, self._body, branch, self._open_argument, definitions)
        return with_open_members(self._rules, declared, free, branch, self._marks.literal(self._body.between))

    def _open_argument(
        self, patterns: list[str], declared_names: list[str], schema: Any, definitions: Mapping[str, Any]
    ) -> list[str]:
        body = self._body
        shared = "" if body.typed else body.assign["number"]
        kinds = self._rules.kinds(schema, definitions)
        options = []
        for kind, value in kinds:
            head = shared or body.assign[kind]
            key = self._marks.text_up_to(patterns, head, declared_names)
            self._rules.opening[head] = None
            opened, apart = body.assign[kind].removeprefix(head), self._values.ambiguities(kinds)
            valued = self._values.marked(kind, value, opened, body.close, definitions, apart)
            options.append(f"{self._marks.literal(body.open)} {key} {valued}".strip())
        return options
