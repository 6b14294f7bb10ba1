"""What of a message nobody here reads: words beside those that a part, a call or a result is understood by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from parlant_local.messages.contents import THOUGHT_FIELDS, is_outcome
from parlant_local.messages.parts import ASIDE, CALLS, CALLS_WITH_RESULTS, RESULTS, THOUGHTS, kind_of, typed

__all__ = ["unread_in_call", "unread_in_content", "unread_in_fields"]

_ALWAYS = frozenset(
    "type id index state status format signature thoughtSignature thought_signature encrypted_content data".split()
)
"""What only says again where a part came from, or can be read by its makers alone."""
_IDS = frozenset("call_id toolCallId tool_use_id tool_call_id toolUseId".split())
_CALL = frozenset("function tool_call custom name toolName arguments args input".split()) | _IDS
_RESULT = frozenset("name toolName content output result response is_error isError errorText".split()) | _IDS
_THOUGHT = frozenset("thinking think reasoning_content reasoning text summary content thought".split())
_NESTED = ("thinking", "think", "reasoning", "summary", "content", "output", "result", "value")


def unread_in_content(content: Any, place: str, *, of_tool: bool = False) -> Iterator[str]:
    """``of_tool``: what a tool gave may be any JSON, all of which is read."""
    if of_tool and is_outcome(content):
        return
    for part in content if isinstance(content, list | tuple) else (content,):
        if isinstance(part, Mapping):
            yield from _unread_in_part(typed(part), place)


def unread_in_call(call: Mapping[str, Any], place: str) -> Iterator[str]:
    """Of a call in any of its shapes."""
    yield from _others(call, _CALL | _ALWAYS, place)
    for name in ("function", "tool_call", "custom"):
        if isinstance(inner := call.get(name), Mapping):
            yield from _others(inner, _CALL | _RESULT | _ALWAYS | {"progress"}, f"{place}{name}.")


def unread_in_fields(beside: Mapping[str, Any] | None, place: str) -> Iterator[str]:
    """Of LiteLLM's fields beside a message, of which thoughts are read."""
    yield from _others(beside or {}, frozenset(THOUGHT_FIELDS), place)


def _unread_in_part(part: Mapping[str, Any], place: str) -> Iterator[str]:
    kind = kind_of(part)
    if kind in ASIDE:
        yield f"{place}{kind}"
    elif kind in CALLS:
        yield from unread_in_call(part, place)
    elif kind in CALLS_WITH_RESULTS:
        yield from _others(part, _CALL | _RESULT | _ALWAYS | {"toolInvocation", "step"}, place)
    elif kind in RESULTS or kind in THOUGHTS:
        yield from _others(part, (_RESULT if kind in RESULTS else _THOUGHT) | _ALWAYS, place)
        for name in _NESTED:
            if isinstance(inner := part.get(name), list):
                yield from unread_in_content(inner, f"{place}{name}.", of_tool=kind in RESULTS)
    else:
        yield from _others(part, _ALWAYS | {"text", "refusal", "thought"}, place)
        if isinstance(text := part.get("text"), Mapping):
            yield from _others(text, frozenset({"value"}), f"{place}text.")


def _others(given: Mapping[str, Any], known: frozenset[str], place: str) -> Iterator[str]:
    yield from (f"{place}{name}" for name, value in given.items() if name not in known and value not in (None, [], {}))
