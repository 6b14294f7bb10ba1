"""What the customer said, where a model would have to repeat it: as the reason of a decision, and in arguments of tools.

Repeating word for word is what small models do worst, and what decides most: a verdict is easier where both things that it
compares stand side by side, and an order number with a digit too few finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from parlant.core.engines.alpha.prompt_builder import BuiltInSection, PromptBuilder

from parlant_local.messages import json_value

__all__ = ["LONGEST_QUOTE", "customer_messages", "quoted_arguments", "reason_from"]

_MISSING = "<<__missing__>>"
_READ = 3
"""Messages of the customer, the latest ones, that an argument may come from."""

LONGEST_QUOTE = 6
"""Words of an argument."""

_MOST = 600
"""Choices for one argument; of longer messages only the latest words are left."""

_AROUND = ".,;:!?\"'()[]<>"
_ARGUMENTS = frozenset({"args", "value_as_string"})


def customer_messages(prompt: str | PromptBuilder) -> list[str]:
    """Oldest first, as far as the prompt of the host's shows them."""
    section = None if isinstance(prompt, str) else prompt.sections.get(BuiltInSection.INTERACTION_HISTORY)
    events = section.props.get("interaction_events", ()) if section else ()
    return list(_said(events))


def _said(events: Sequence[Any]) -> Iterator[str]:
    for event in events:
        try:
            told = json_value(event)
            message = told["data"]["message"]
        except (TypeError, ValueError, KeyError):  # another kind of event
            continue
        if told.get("event_source") == "user" and isinstance(message, str):
            yield message


def reason_from(messages: Sequence[str]) -> str | None:
    return f"They said: {messages[-1]}" if messages else None


def quoted_arguments(schema: Mapping[str, Any], messages: Sequence[str]) -> Mapping[str, Any]:
    """A copy of ``schema`` whose free text arguments are words of the customer's, or the host's mark for a missing one."""
    words = list(dict.fromkeys(quote for message in reversed(messages[-_READ:]) for quote in _quotes(message)))
    if not words:
        return schema
    found: Mapping[str, Any] = _bound(schema, {"type": "string", "enum": [*words[:_MOST], _MISSING]}, inside=False)
    return found


def _quotes(message: str) -> Iterator[str]:
    """Every few words on end, without the marks around them; from the end, where what is asked for mostly stands."""
    words = message.split()
    for first in reversed(range(len(words))):
        for last in range(first + 1, min(len(words), first + LONGEST_QUOTE) + 1):
            if text := " ".join(words[first:last]).strip(_AROUND):
                yield text


def _bound(node: Any, choice: Mapping[str, Any], *, inside: bool) -> Any:
    if isinstance(node, list):
        return [_bound(item, choice, inside=inside) for item in node]
    if not isinstance(node, Mapping):
        return node
    if inside and node.get("type") == "string" and not {"enum", "const"} & set(node):
        return dict(choice)
    return {
        key: {name: _bound(part, choice, inside=inside or name in _ARGUMENTS) for name, part in value.items()}
        if key == "properties"
        else value
        if key in ("const", "enum", "default", "required")
        else _bound(value, choice, inside=inside)
        for key, value in node.items()
    }
