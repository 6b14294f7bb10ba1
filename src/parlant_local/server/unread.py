"""Unread fields of a message: everything but the known fields of a part, a call or a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from parlant_local.messages.contents import THOUGHT_FIELDS, is_outcome
from parlant_local.messages.parts import CALL, IGNORED, RESULT, TEXT, THOUGHT, kind_of, typed

__all__ = ["unread_in_call", "unread_in_content", "unread_in_fields"]

_ALWAYS = frozenset(
    "type id index state status format signature thoughtSignature thought_signature encrypted_content data".split()
)
"""Fields that repeat a part's origin, or only mean something to their provider."""
_NESTED = ("thinking", "think", "reasoning", "summary", "content", "output", "result", "value")


def unread_in_content(content: Any, place: str, *, of_tool: bool = False) -> Iterator[str]:
    """``of_tool``: a tool's result may be any JSON, all of which is read."""
    if of_tool and is_outcome(content):
        return
    for part in content if isinstance(content, list | tuple) else (content,):
        if isinstance(part, Mapping):
            yield from _unread_in_part(typed(part), place)


def unread_in_call(call: Mapping[str, Any], place: str) -> Iterator[str]:
    """For a call in any format."""
    yield from _others(call, CALL.words | _ALWAYS, place)
    for name in ("function", "tool_call", "custom"):
        if isinstance(inner := call.get(name), Mapping):
            yield from _others(inner, CALL.words | RESULT.words | _ALWAYS | {"progress"}, f"{place}{name}.")


def unread_in_fields(beside: Mapping[str, Any] | None, place: str) -> Iterator[str]:
    """For LiteLLM's extra fields, of which reasoning is read."""
    yield from _others(beside or {}, frozenset(THOUGHT_FIELDS), place)


def _unread_in_part(part: Mapping[str, Any], place: str) -> Iterator[str]:
    kind = kind_of(part) or TEXT
    if kind is IGNORED:
        yield f"{place}{part['type']}"
        return
    if kind is CALL:
        yield from unread_in_call(part, place)
        return
    yield from _others(part, kind.words | _ALWAYS, place)
    if kind in (RESULT, THOUGHT):
        for name in _NESTED:
            if isinstance(inner := part.get(name), list):
                yield from unread_in_content(inner, f"{place}{name}.", of_tool=kind is RESULT)
    elif isinstance(text := part.get("text"), Mapping):
        yield from _others(text, frozenset({"value"}), f"{place}text.")


def _others(given: Mapping[str, Any], known: frozenset[str], place: str) -> Iterator[str]:
    yield from (f"{place}{name}" for name, value in given.items() if name not in known and value not in (None, [], {}))
