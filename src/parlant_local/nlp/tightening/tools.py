"""Which tool to call, and with which arguments.

- Consequential tools (``SingleToolBatchSchema``): section ``tool-caller-output-format_consequential`` carries the candidate
  tool's name and its parameters. The host drops evaluations of unknown parameters, and a value outside a parameter's
  choices stops the call.
- Others (``NonConsequentialToolBatchSchema``): section ``tool-caller-output-format_non_consequential`` carries the parameters.
  Argument names that are not the tool's are dropped and their values lost; a required one that is absent counts as
  missing, for which the prompt's own mark is "<<__missing__>>". Values of enumerated text parameters are bound to the choices.
- Overlapping tools: section ``tool-caller-tool-definitions`` carries each tool's specification; an evaluation under another
  name is ignored, and an unknown parameter is a KeyError and a lost attempt.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.tightening.surgery import (
    NotUnderstood,
    Schema,
    const,
    enum,
    exactly,
    not_null,
    nullable,
    properties,
    section_prop,
)

__all__ = ["TIGHTENERS"]

_CONSEQUENTIAL = "tool-caller-output-format_consequential"
_NON_CONSEQUENTIAL = "tool-caller-output-format_non_consequential"
_MISSING = "<<__missing__>>"


def _choices(descriptor: Mapping[str, Any]) -> list[str]:
    """The values of an enumerated text parameter; nothing for any other, whose values take shapes of their own."""
    if descriptor.get("type") != "string":
        return []
    found = descriptor.get("enum") or []
    return [choice for choice in found if isinstance(choice, str)] if all(isinstance(c, str) for c in found) else []


def _single(schema: Schema, prompt: PromptBuilder) -> None:
    tool = section_prop(prompt, _CONSEQUENTIAL, "candidate_tool")
    service, name = (section_prop(prompt, _CONSEQUENTIAL, key) for key in ("service_name", "tool_name"))
    const(schema, "name", f"{service}:{name}")
    call = properties(schema)["tool_calls_for_candidate_tool"]["items"]
    choices = {parameter: _choices(descriptor) for parameter, (descriptor, _) in tool.parameters.items()}
    _bind_arguments(call, choices)


def _bind_arguments(call: Schema, choices: Mapping[str, list[str]]) -> None:
    """Parameter names become a choice; an enumerated one is told apart, so that its value is bound to its choices."""
    array = not_null(properties(call)["argument_evaluations"])
    if not choices:
        array["maxItems"] = 0
        return
    free = [name for name, values in choices.items() if not values]
    items = []
    if free:
        plain = deepcopy(array["items"])
        enum(plain, "parameter_name", free)
        items.append(plain)
    for name, values in choices.items():
        if values:
            bound = deepcopy(array["items"])
            const(bound, "parameter_name", name)
            enum(bound, "value_as_string", ["", *values], optional=True)
            items.append(bound)
    array["items"] = items[0] if len(items) == 1 else {"anyOf": items}


def _non_consequential(schema: Schema, prompt: PromptBuilder) -> None:
    parameters = section_prop(prompt, _NON_CONSEQUENTIAL, "tool_parameters")
    required = set(_required(prompt))
    call = properties(schema)["calls"]["items"]
    values: dict[str, Schema] = {}
    for name, (descriptor, _) in parameters.items():
        text: Schema = {"type": "string"}
        if choices := _choices(descriptor):
            text["enum"] = [*choices, *([_MISSING] if name in required else [])]
        values[name] = text if name in required else nullable(text)
    properties(call)["args"] = {
        "type": "object",
        "properties": values,
        "required": list(values),
        "additionalProperties": False,
    }
    if values:
        call["required"] = ["args"]


def _required(prompt: PromptBuilder) -> list[str]:
    found = section_prop(prompt, "tool-caller-tool-definition_non_consequential", "required_params")
    if not isinstance(found, list):
        raise NotUnderstood("required_params is not a list")
    return found


def _overlapping(schema: Schema, prompt: PromptBuilder) -> None:
    specifications = section_prop(prompt, "tool-caller-tool-definitions", "tools_specs")
    if isinstance(specifications, str):
        specifications = ast.literal_eval(specifications)
    evaluations = properties(schema)["tools_evaluation"]
    items = []
    for specification in specifications:
        item = deepcopy(evaluations["items"])
        const(item, "name", specification["tool_name"])
        arguments = {**specification["required_parameters"], **specification["optional_arguments"]}
        choices = {name: _choices(json.loads(text)["schema"]) for name, text in arguments.items()}
        _bind_arguments(not_null(properties(item)["calls"])["items"], choices)
        items.append(item)
    if not items:
        raise NotUnderstood("no tool is listed")
    properties(schema)["tools_evaluation"] = exactly(items)


TIGHTENERS = {
    "SingleToolBatchSchema": _single,
    "NonConsequentialToolBatchSchema": _non_consequential,
    "OverlappingToolsBatchSchema": _overlapping,
}
