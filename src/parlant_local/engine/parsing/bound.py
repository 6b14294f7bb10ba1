"""Calls that a schema binds: what the constraint must be, and calls read while they are being written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parlant_local.engine.parsing.calls import new_call_id
from parlant_local.engine.parsing.json_text import ValueEnd
from parlant_local.errors import SchemaError
from parlant_local.messages import Delta, Tool, ToolCallDelta

__all__ = ["BoundCalls", "call_schema", "hoisted", "object_schema"]


def call_schema(
    tools: Sequence[Tool], *, key: str = "arguments", answer: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The JSON schema of one call of any of ``tools``; with ``answer``, of a call or an answer of that schema."""
    definitions: dict[str, Any] = {}
    options: list[Any] = []
    for index, tool in enumerate(tools):
        options.append(
            {
                "type": "object",
                "properties": {
                    "name": {"const": tool.name},
                    key: hoisted(object_schema(tool.parameters), f"tool{index}", definitions),
                },
                "required": ["name", key],
                "additionalProperties": False,
            }
        )
    if answer is not None:
        options.append(hoisted(answer, "answer", definitions))
    schema: dict[str, Any] = dict(options[0]) if len(options) == 1 else {"anyOf": options}
    if definitions:
        schema["$defs"] = definitions
    return schema


_TAKES = ("properties", "anyOf", "oneOf", "additionalProperties", "patternProperties", "required")
_FOLLOWED = 8  # references and allOf within one another


def object_schema(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a tool's arguments. A tool that names none takes none.

    Raises :class:`SchemaError` where they could be no object.
    """
    if parameters.get("type") is not None and "object" not in parameters["type"]:
        raise SchemaError("The parameters of a tool must be a schema of type object.", keyword="type")
    if _names_none(parameters, parameters, _FOLLOWED):
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return (
        parameters
        if any(key in parameters for key in ("type", "$ref", "anyOf", "oneOf", "allOf"))
        else {"type": "object", **parameters}
    )


def _names_none(schema: Any, root: Mapping[str, Any], left: int) -> bool:
    """Whether no argument is named, neither here nor in what is referred to."""
    if left == 0 or not isinstance(schema, Mapping) or any(schema.get(key) for key in _TAKES):
        return False
    target = schema.get("$ref")
    parts = list(schema.get("allOf") or ())
    if target is not None:
        place, _, name = str(target).rpartition("/")
        definitions = root.get(place.removeprefix("#/")) if place in ("#/$defs", "#/definitions") else None
        parts.append(definitions.get(name) if isinstance(definitions, Mapping) else None)
    return all(_names_none(part, root, left - 1) for part in parts)


def hoisted(schema: Mapping[str, Any], name: str, definitions: dict[str, Any]) -> Any:
    """``schema`` as part of a larger one: its definitions moved to ``definitions`` under ``name``, its references along."""
    inner = {key: value for key, value in schema.items() if key not in ("$defs", "definitions", "$schema", "$id")}
    used_root = False

    def moved(value: Any) -> Any:
        nonlocal used_root
        if isinstance(value, Mapping):
            result = {}
            for key, item in value.items():
                if key == "$ref" and isinstance(item, str) and item.startswith("#"):
                    parts = item.split("/")
                    if len(parts) >= 3 and parts[1] in ("$defs", "definitions"):
                        item = "/".join(["#", "$defs", f"{name}.{parts[2]}", *parts[3:]])
                    else:
                        used_root = True
                        item = f"#/$defs/{name}" + item.removeprefix("#")
                    result[key] = item
                else:
                    result[key] = moved(item)
            return result
        if isinstance(value, list):
            return [moved(item) for item in value]
        return value

    for group in ("$defs", "definitions"):
        for key, value in (schema.get(group) or {}).items():
            definitions[f"{name}.{key}"] = moved(value)
    result = moved(inner)
    if used_root:
        definitions[name] = result
        return {"$ref": f"#/$defs/{name}"}
    return result


_NAME = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)')


class BoundCalls:
    """Reads the JSON of one call that a constraint guarantees, delivering the arguments as they come.

    Text that is no call (an answer of a schema, where both were allowed) is content.
    """

    def __init__(self, *, new_id: Callable[[], str] = new_call_id) -> None:
        self._new_id = new_id
        self._text = ""
        self._arguments: ValueEnd | None = None
        """Where they end, once they have begun."""
        self._done = False
        self._content = False
        self.count = 0
        self.warnings: list[str] = []

    def feed(self, text: str) -> list[Delta]:
        return self._advance(text, final=False)

    def finish(self, *, truncated: bool = False) -> list[Delta]:
        if truncated and not self._done and (self.count or (self._text and not self._content)):
            # Of what may be half a call nothing is content.
            self.warnings.append("The tool call was cut off by the token limit.")
            return []
        return self._advance("", final=True)

    def _advance(self, text: str, *, final: bool) -> list[Delta]:
        if self._done:
            return []  # closing marks of the family's syntax
        deltas: list[Delta] = []
        self._text += text
        if self._arguments is None and not self._content:
            if head := _NAME.match(self._text):
                self._arguments = ValueEnd()
                self._text = self._text[head.end() :]
                self.count = 1
                name = str(json.loads(head[1]))
                deltas.append(Delta(tool_calls=(ToolCallDelta(0, id=self._new_id(), name=name),)))
            elif final or not _may_be_call(self._text):
                self._content = True
        if self._content:
            if self._text:
                deltas.append(Delta(content=self._text))
            self._text = ""
        elif self._arguments is not None and self._text:
            end = self._arguments.feed(self._text)
            self._done = end is not None
            deltas.append(Delta(tool_calls=(ToolCallDelta(0, arguments=self._text[:end]),)))
            self._text = ""
        return deltas


_BEGINNING = re.compile(r'\s*(?:\{\s*(?:"(?:n(?:a(?:m(?:e(?:".*)?)?)?)?)?)?)?', re.DOTALL)
_OTHER_VALUE = re.compile(r'\s*\{\s*"name"\s*:\s*(?:[^"\s]|"(?:[^"\\]|\\.)*"\s*(?:\}|,\s*"(?!a|p|$)))')


def _may_be_call(text: str) -> bool:
    """Whether an object that begins so may still turn out to be a call."""
    return _BEGINNING.fullmatch(text) is not None and _OTHER_VALUE.match(text) is None
