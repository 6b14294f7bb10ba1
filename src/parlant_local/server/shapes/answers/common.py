"""What all answers have in common: clients have to bear fields that later versions add."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

__all__ = ["Counted", "answer", "inlined"]


answer = with_config(ConfigDict(extra="allow", use_attribute_docstrings=True))


@answer
class Counted(TypedDict):
    prompt_tokens: int
    total_tokens: int


def inlined(declared: Any) -> dict[str, Any]:
    """A self-contained schema, for responses that share their route with a stream."""
    schema = TypeAdapter(declared).json_schema(mode="serialization")
    parts = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return resolved(parts[value["$ref"].rpartition("/")[2]])
            return {key: resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [resolved(item) for item in value]
        return value

    found = resolved(schema)
    assert isinstance(found, dict)
    return found
