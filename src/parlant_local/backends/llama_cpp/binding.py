"""What an answer is bound to, and who reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parlant_local.backends.base import ChatParams
from parlant_local.engine.constraint.bounds import check_json
from parlant_local.engine.parsing import (
    BoundCalls,
    BoundSyntaxCalls,
    CallParser,
    ContentReader,
    PlainContent,
    call_schema,
)
from parlant_local.engine.parsing.bound import object_schema
from parlant_local.engine.parsing.syntax import JsonCalls
from parlant_local.engine.requests import (
    AnyJson,
    CallOf,
    Constraint,
    Grammar,
    JsonSchema,
    Limits,
)
from parlant_local.engine.templates import Speech
from parlant_local.errors import BadRequestError
from parlant_local.messages import Tool
from parlant_local.settings import ConstraintSettings, GenerationSettings

__all__ = ["Binding", "binding_of"]


@dataclass(frozen=True, slots=True)
class Binding:
    """The constraint on an answer, and its reader."""

    constraint: Constraint | None
    reader: Callable[[], ContentReader]
    structured: bool = False
    answers: bool = False
    """Whether the constraint describes an answer, not a call."""


def binding_of(
    params: ChatParams,
    tools: Sequence[Tool],
    speech: Speech,
    settings: GenerationSettings,
    bounds: ConstraintSettings,
) -> Binding:
    check_json([tool.parameters for tool in tools], bounds)
    limits = Limits(**settings.limits.model_dump())
    form = params.response_format
    schema: Mapping[str, Any] | None = None
    if form.type == "json_schema":
        schema = form.schema or {}
    elif form.type == "json_object":
        schema = {"type": "object"}
    if tools and params.tool_choice not in ("auto", "none"):
        if params.grammar:
            raise BadRequestError("A grammar and a required tool call can't be combined.", hint="Give one of them.")
        return _bound_call([tool for tool in tools if params.tool_choice in ("required", tool.name)], speech, limits)
    if tools and params.grammar:
        raise BadRequestError(
            "A grammar constrains the whole answer, so no tool could be called.",
            hint='Send tool_choice="none" with it.',
        )
    if tools and schema is not None:
        return Binding(
            JsonSchema(call_schema(tools, key=_arguments_key(speech), answer=schema), limits),
            BoundCalls,
            structured=True,
            answers=True,
        )
    if tools:
        names = [tool.name for tool in tools]
        return Binding(None, lambda: CallParser(speech.calls, names, parallel=params.parallel_tool_calls))
    if params.grammar:
        return Binding(Grammar(params.grammar), PlainContent, answers=True)
    if form.type == "json_object":
        return Binding(AnyJson(limits), PlainContent, structured=True, answers=True)
    if schema is not None:
        return Binding(JsonSchema(schema, limits), PlainContent, structured=True, answers=True)
    return Binding(None, PlainContent)


def _arguments_key(speech: Speech) -> str:
    """Under which key the model was taught to write arguments, where calls are plain objects."""
    body = speech.syntax.body if speech.syntax is not None else None
    return "parameters" if isinstance(body, JsonCalls) and '"parameters"' in body.shape else "arguments"


def _bound_call(tools: Sequence[Tool], speech: Speech, limits: Limits) -> Binding:
    """One call in the template's own syntax, or in plain JSON where none is known."""
    syntax = speech.syntax
    if syntax is None:
        return Binding(JsonSchema(call_schema(tools), limits, spaced=True), BoundCalls)
    schemas = {tool.name: object_schema(tool.parameters) for tool in tools}
    constraint = CallOf(syntax, tuple(schemas.items()), limits)
    return Binding(constraint, lambda: BoundSyntaxCalls(syntax, schemas))
