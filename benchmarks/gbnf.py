"""A compact GBNF of a simple schema, for the peer that takes no other: the best it can be given."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["compact_gbnf"]

_CHARACTER = r'[^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})'


def compact_gbnf(schema: dict[str, Any]) -> str:
    rules = {"char": _CHARACTER}
    rules["root"] = _rule(schema, "root", rules)
    return "\n".join(f"{name} ::= {body}" for name, body in rules.items())


def _rule(schema: dict[str, Any], name: str, rules: dict[str, str]) -> str:
    if "const" in schema:
        return _literal(json.dumps(schema["const"]))
    if "enum" in schema:
        return "(" + " | ".join(_literal(json.dumps(value)) for value in schema["enum"]) + ")"
    if "anyOf" in schema:
        return "(" + " | ".join(_named(branch, f"{name}-{i}", rules) for i, branch in enumerate(schema["anyOf"])) + ")"
    match schema.get("type"):
        case "object":
            parts = []
            for index, (key, value) in enumerate(schema["properties"].items()):
                lead = ("," if index else "") + json.dumps(key) + ":"
                parts.append(f"{_literal(lead)} {_named(value, f'{name}-{index}', rules)}")
            return f'"{{" {" ".join(parts)} "}}"'
        case "array":
            item = _named(schema["items"], f"{name}-item", rules)
            low, high = schema.get("minItems", 0), schema.get("maxItems", 8)
            if high == 0:
                return '"[]"'
            rest = f'("," {item}){{{max(low - 1, 0)},{high - 1}}}'
            body = f'"[" {item} {rest} "]"'
            return body if low else f'({body} | "[]")'
        case "string":
            return f'"\\"" char{{{schema.get("minLength", 0)},{schema.get("maxLength", 200)}}} "\\""'
        case "integer":
            return '("10" | [0-9])' if schema.get("maximum") == 10 else '"-"? ("0" | [1-9] [0-9]{0,8})'
        case "boolean":
            return '("true" | "false")'
        case _:
            return '"null"'


def _named(schema: dict[str, Any], name: str, rules: dict[str, str]) -> str:
    rules[name] = _rule(schema, name, rules)
    return name


def _literal(text: str) -> str:
    return json.dumps(text)
