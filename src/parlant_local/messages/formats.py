"""The format of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from parlant_local.brief import Brief
from parlant_local.errors import BadRequestError
from parlant_local.messages.text import shown, whole_value

__all__ = ["ResponseFormat"]


@dataclass(frozen=True, slots=True, repr=False)
class ResponseFormat(Brief):
    """What an answer must look like: free text, any JSON object, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    schema: Mapping[str, Any] | None = None
    name: str = "response"

    @classmethod
    def text(cls) -> ResponseFormat:
        return cls()

    @classmethod
    def json_object(cls) -> ResponseFormat:
        return cls("json_object")

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any], name: str = "response") -> ResponseFormat:
        return cls("json_schema", schema, name)

    @classmethod
    def coerce(cls, value: Any) -> ResponseFormat:
        """From ours, OpenAI's dictionaries (``json_object`` with a ``schema`` too), or a Pydantic model class."""
        if value is None:
            return cls()
        if isinstance(value, ResponseFormat):
            return value
        if isinstance(value, type) and hasattr(value, "model_json_schema"):
            return cls("json_schema", value.model_json_schema(), value.__name__)
        if isinstance(value, Mapping):
            value = whole_value(value)
            kind = value.get("type")
            if kind == "text":
                return cls()
            if kind == "json_object":
                beside = value.get("json_schema")  # some put it where json_schema has it
                schema = value.get("schema") or (beside.get("schema") if isinstance(beside, Mapping) else None)
                return cls("json_schema", schema) if isinstance(schema, Mapping) else cls("json_object")
            if kind == "json_schema":
                inner = value.get("json_schema")
                inner = inner if isinstance(inner, Mapping) else value
                schema = inner.get("schema")
                if not isinstance(schema, Mapping):
                    raise BadRequestError("response_format of type json_schema needs json_schema.schema.")
                return cls("json_schema", schema, str(inner.get("name") or "response"))
        raise BadRequestError(
            f"Unknown response_format {shown(value)}.", hint="Use text, json_object, json_schema or a Pydantic model."
        )

    def to_openai(self) -> dict[str, Any]:
        if self.type == "json_schema":
            return {
                "type": "json_schema",
                "json_schema": {"name": self.name, "schema": dict(self.schema or {}), "strict": True},
            }
        return {"type": self.type}
