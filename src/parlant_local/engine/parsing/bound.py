"""Calls constrained by a schema: the constraint itself, and streaming such calls."""

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


_ARGUMENT_KEYWORDS = ("properties", "anyOf", "oneOf", "additionalProperties", "patternProperties", "required")
_MAX_NESTING = 8  # references and allOf within one another


def object_schema(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a tool's arguments. A tool that names none takes none.

    Raises :class:`SchemaError` where they could be no object.
    """
    if parameters.get("type") is not None and "object" not in parameters["type"]:
        raise SchemaError("The parameters of a tool must be a schema of type object.", keyword="type")
    if _takes_no_arguments(parameters, parameters, _MAX_NESTING):
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return (
        parameters
        if any(key in parameters for key in ("type", "$ref", "anyOf", "oneOf", "allOf"))
        else {"type": "object", **parameters}
    )


def _takes_no_arguments(schema: Any, root: Mapping[str, Any], left: int) -> bool:
    """Whether neither the schema nor what it references declares any argument."""
    if left == 0 or not isinstance(schema, Mapping) or any(schema.get(key) for key in _ARGUMENT_KEYWORDS):
        return False
    target = schema.get("$ref")
    parts = list(schema.get("allOf") or ())
    if target is not None:
        place, _, name = str(target).rpartition("/")
        definitions = root.get(place.removeprefix("#/")) if place in ("#/$defs", "#/definitions") else None
        parts.append(definitions.get(name) if isinstance(definitions, Mapping) else None)
    return all(_takes_no_arguments(part, root, left - 1) for part in parts)


def hoisted(schema: Mapping[str, Any], name: str, definitions: dict[str, Any]) -> Any:
    """``schema`` for embedding in a larger one: its definitions move to ``definitions`` under ``name``; references follow."""
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
    """Streams the JSON of one constrained call, delivering the arguments as they come.

    Text that is not a call (an answer to a schema, where both were allowed) is content.
    """

    def __init__(self, *, new_id: Callable[[], str] = new_call_id) -> None:
        self._new_id = new_id
        self._text = ""
        self._arguments: ValueEnd | None = None
        """Finds their end, once they have begun."""
        self._done = False
        self._content = False
        self.count = 0
        self.warnings: list[str] = []

    def feed(self, text: str) -> list[Delta]:
        return self._advance(text, final=False)

    def finish(self, *, truncated: bool = False) -> list[Delta]:
        if truncated and not self._done and (self.count or (self._text and not self._content)):
            # A partial call is never content.
            self.warnings.append("The tool call was cut off by the token limit.")
            return []
        return self._advance("", final=True)

    def _advance(self, text: str, *, final: bool) -> list[Delta]:
        if self._done:
            return []  # only closing marks of the family's syntax follow
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


_CALL_PREFIX = re.compile(r'\s*(?:\{\s*(?:"(?:n(?:a(?:m(?:e(?:".*)?)?)?)?)?)?)?', re.DOTALL)
_NOT_A_CALL = re.compile(r'\s*\{\s*"name"\s*:\s*(?:[^"\s]|"(?:[^"\\]|\\.)*"\s*(?:\}|,\s*"(?!a|p|$)))')


def _may_be_call(text: str) -> bool:
    """Whether an object with this beginning may still be a call."""
    return _CALL_PREFIX.fullmatch(text) is not None and _NOT_A_CALL.match(text) is None
