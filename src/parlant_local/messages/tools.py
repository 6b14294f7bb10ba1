"""Functions that a model may call, and the calls it makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from parlant_local.brief import Brief
from parlant_local.errors import BadRequestError
from parlant_local.messages.contents import call_of, optional_text
from parlant_local.messages.text import json_value, mend, shown, whole_text, whole_value

__all__ = ["Tool", "ToolCall", "ToolChoice", "as_tools"]

ToolChoice: TypeAlias = str
"""``"auto"``, ``"none"``, ``"required"``, or the name of a tool."""


@dataclass(frozen=True, slots=True, repr=False)
class ToolCall(Brief):
    """One call that an assistant requests. ``arguments`` is JSON text, as OpenAI sends it."""

    id: str
    name: str
    arguments: str

    def parsed(self) -> Any:
        """The arguments as a Python value; raises ``json.JSONDecodeError`` where the model wrote no JSON."""
        return json_value(self.arguments or "{}")

    def __post_init__(self) -> None:
        mend(self, "id", "name", "arguments")

    def to_openai(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}

    @classmethod
    def from_openai(cls, data: Any) -> ToolCall:
        call = call_of(data)
        return cls(call.id, call.name, call.arguments)


@dataclass(frozen=True, slots=True, repr=False)
class Tool(Brief):
    """A function that the model may call. ``parameters`` is a JSON schema of type object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})

    @classmethod
    def from_openai(cls, data: Any) -> Tool:
        """From OpenAI's shape, flat or not, or Anthropic's (``input_schema``)."""
        if not isinstance(data, Mapping):
            raise BadRequestError(f"A tool must be an object, not {shown(data)}.")
        function = data.get("function", data)
        ours = data.get("type") in (None, "function") or "input_schema" in data
        if not ours or not isinstance(function, Mapping):
            raise BadRequestError(f"Only tools of type 'function' are supported, not {shown(data.get('type'))!r}.")
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise BadRequestError("A tool needs a name.")
        parameters = function.get("parameters") or function.get("input_schema") or {"type": "object", "properties": {}}
        if not isinstance(parameters, Mapping):
            raise BadRequestError(
                f"The parameters of the tool {shown(name)!r} must be a JSON schema, not {shown(parameters)}."
            )
        description = optional_text(function, "description") or ""
        return cls(whole_text(name), whole_text(description), whole_value(parameters))

    def to_openai(self) -> dict[str, Any]:
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": dict(self.parameters),
            },
        }


def as_tools(value: Iterable[Tool | Mapping[str, Any]] | None) -> tuple[Tool, ...]:
    return tuple(item if isinstance(item, Tool) else Tool.from_openai(item) for item in value or ())
