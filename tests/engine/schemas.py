"""Schemas as Pydantic writes them, shared by several tests."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Mood(Enum):
    CALM = "calm"
    CROSS = "cross"


class Choice(BaseModel):
    guideline_id: str = Field(max_length=8)
    applies: bool
    score: int = Field(ge=0, le=10)


class Batch(BaseModel):
    """Like what Parlant asks when it matches guidelines."""

    rationale: str = Field(max_length=40)
    mood: Mood
    checks: list[Choice] = Field(max_length=3)


class Leaf(BaseModel):
    kind: Literal["leaf"]
    value: float = Field(ge=-1, le=1)


class Fork(BaseModel):
    kind: Literal["fork"]
    left: Node
    right: Node


class Node(BaseModel):
    node: Annotated[Leaf | Fork, Field(discriminator="kind")]


class Everything(BaseModel):
    model_config = ConfigDict(json_schema_extra={"x-note": "an extension that binds nothing"})

    name: str
    nick: str | None = None
    mood: Mood
    level: Literal[1, 2, 3]
    day: date
    price: float
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}-[0-9]{3}$")]
    either: int | str | None
    counts: dict[str, int] = Field(min_length=1)
    by_mood: dict[Mood, bool]
    pair: tuple[int, str]
    nested: Batch | None = None
    anything: Any = None


class Tree(BaseModel):
    name: str = Field(max_length=10)
    children: list[Tree] = Field(default=[], max_length=3)


FROM_PYDANTIC: dict[str, type[BaseModel]] = {model.__name__: model for model in (Choice, Batch, Node, Everything, Tree)}

PLAIN: dict[str, dict[str, Any]] = {
    "any object": {"type": "object"},
    "dictionary": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 2},
    "mixed extras": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": {"type": "boolean"},
    },
    "types": {"type": ["integer", "null", "string"], "minimum": 3, "maxLength": 5},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}, "required": ["a"]},
            {"properties": {"a": {"maxLength": 4}, "b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "listed names": {
        "type": "object",
        "propertyNames": {"enum": ["x", "y"]},
        "additionalProperties": {"type": "integer", "minimum": 1},
        "minProperties": 1,
    },
    "required without description": {"type": "object", "required": ["who"], "properties": {"n": {"type": "null"}}},
    "numbers": {
        "type": "array",
        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 2.5},
        "minItems": 2,
        "maxItems": 4,
    },
    "multiples": {"type": "integer", "multipleOf": 7, "minimum": 20, "maximum": 60},
    "names alike": {
        "type": "object",
        "properties": {
            "a": {"type": "object", "properties": {"item": {"type": "integer"}}, "required": ["item"]},
            "b": {"type": "object", "properties": {"item": {"type": "boolean"}}, "required": ["item"]},
            "c": {"$ref": "#/properties/a/properties/item"},
            "d": {"$ref": "#/properties/b/properties/item"},
        },
        "required": ["a", "b", "c", "d"],
    },
}


def every_schema() -> dict[str, dict[str, Any]]:
    return {**{name: model.model_json_schema() for name, model in FROM_PYDANTIC.items()}, **PLAIN}
