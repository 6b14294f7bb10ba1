"""Limits on the number of items in a request, checked before validation: validating a million items is expensive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parlant_local.errors import RequestRefusedError
from parlant_local.settings import LimitSettings

__all__ = ["check_counts", "refuse_excess"]

# The field, the name of its items, and their limit.
_FIELDS: Mapping[str, tuple[str, str, str]] = {
    "messages": ("messages", "messages", "too_many_messages"),
    "input_extra": ("texts", "texts", "too_many_inputs"),
    "documents": ("documents", "texts", "too_many_inputs"),
    "tools": ("tools", "tools", "too_many_tools"),
    "functions": ("functions", "tools", "too_many_tools"),
    "stop": ("texts", "stops", "too_many_stops"),
    "stop_sequences": ("texts", "stops", "too_many_stops"),
    "logit_bias": ("tokens", "logit_biases", "too_many_biases"),
    "tokens": ("token ids", "token_ids", "too_many_token_ids"),
}
_WITHIN_MESSAGES: Mapping[str, tuple[str, str, str]] = {
    "content": ("parts", "parts", "too_many_parts"),
    "tool_calls": ("calls", "tool_calls", "too_many_tool_calls"),
}


def check_counts(body: Any, limits: LimitSettings) -> None:
    """Raises :class:`RequestRefusedError` naming the field and the limit. Values of the wrong type are left to validation."""
    if not isinstance(body, dict):
        return
    for field, facts in _FIELDS.items():
        refuse_excess(_length(body.get(field)), field, *facts, limits)
    for name in ("stop", "stop_sequences"):
        stops = body.get(name)
        for text in stops if isinstance(stops, list) else [stops]:
            if isinstance(text, str):
                refuse_excess(len(text), name, "characters in a text", "stop_characters", "stop_too_long", limits)
    if isinstance(inputs := body.get("input"), list):
        parts = sum(isinstance(item, dict) for item in inputs)  # strings and numbers are checked elsewhere
        refuse_excess(parts, "input", *_WITHIN_MESSAGES["content"], limits)
    for name in ("messages", "input"):
        messages = body.get(name)
        if isinstance(messages, list):
            within = [message for message in messages if isinstance(message, dict)]
            for field, facts in _WITHIN_MESSAGES.items():
                refuse_excess(sum(_length(message.get(field)) for message in within), name, *facts, limits)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def refuse_excess(count: int, field: str, what: str, limit: str, code: str, limits: LimitSettings) -> None:
    """Raises :class:`RequestRefusedError` where ``count`` is more than the setting ``limit`` allows."""
    most: int = getattr(limits, limit)
    if count > most:
        raise RequestRefusedError(
            400, f"{field} has {count} {what}; {most} are allowed (limits.{limit}).", code=code, param=field
        )
