"""A value for every option; where the definition has a range or a choice, out of that."""

from __future__ import annotations

from typing import Any

from parlant_local.call_options import Option

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
_GIVEN: dict[str, Any] = {
    "logit_bias": {5: 2.5},
    "stop": ["END"],
    "response_format": {"type": "json_object"},
    "grammar": 'root ::= "a"',
    "tools": [TOOL],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "continue_final": True,
    "prefix_group": "group",
    "session": "somebody",
}


def sample(option: Option) -> Any:
    if option.choices:
        return next(choice for choice in option.choices if choice not in ("auto", "normal"))
    if option.bounded:
        low = option.low if option.low > -10 else 0
        value = low + (min(option.high, low + 3) - low) / 3
        return int(value) if option.kind is int else round(value, 3)
    return _GIVEN[option.name]


def options_for(option: Option) -> dict[str, Any]:
    """The option, with what it means nothing without."""
    given = {option.name: sample(option)}
    return given | {"tools": [TOOL]} if option.name in ("tool_choice", "parallel_tool_calls") else given
