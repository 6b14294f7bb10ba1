"""How many of each thing a request may have, counted before anything is validated: checking a million costs as much as a million."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parlant_local.server.problems import Refused
from parlant_local.settings import LimitSettings

__all__ = ["check_counts", "refuse_excess"]

# The field, what its items are called, and the limit that holds for them.
_FIELDS: Mapping[str, tuple[str, str, str]] = {
    "messages": ("messages", "messages", "too_many_messages"),
    "documents": ("documents", "texts", "too_many_inputs"),
    "tools": ("tools", "tools", "too_many_tools"),
    "functions": ("functions", "tools", "too_many_tools"),
    "stop": ("texts", "stops", "too_many_stops"),
    "logit_bias": ("tokens", "logit_biases", "too_many_biases"),
    "tokens": ("token ids", "token_ids", "too_many_token_ids"),
}
_WITHIN_MESSAGES: Mapping[str, tuple[str, str, str]] = {
    "content": ("parts", "parts", "too_many_parts"),
    "tool_calls": ("calls", "tools", "too_many_tool_calls"),
}


def check_counts(body: Any, limits: LimitSettings) -> None:
    """Raises :class:`Refused` naming the field and the limit. What is no list where one belongs is left to validation."""
    if not isinstance(body, dict):
        return
    for field, facts in _FIELDS.items():
        _check(body, field, facts, limits, field)
    messages = body.get("messages")
    if not isinstance(messages, list):
        return
    for index, message in enumerate(messages):
        if isinstance(message, dict):
            for field, facts in _WITHIN_MESSAGES.items():
                _check(message, field, facts, limits, f"messages[{index}].{field}")


def _check(owner: dict[str, Any], field: str, facts: tuple[str, str, str], limits: LimitSettings, place: str) -> None:
    value = owner.get(field)
    if isinstance(value, list | dict):
        what, limit, code = facts
        refuse_excess(len(value), place, what, limit, code, limits)


def refuse_excess(count: int, place: str, what: str, limit: str, code: str, limits: LimitSettings) -> None:
    most: int = getattr(limits, limit)
    if count > most:
        raise Refused(
            400,
            f"{place} has {count} {what}; {most} are allowed (limits.{limit}).",
            code=code,
            param=place.split("[")[0],
        )
