"""What was asked and answered, in the form that the conventions give messages: JSON of roles and parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from parlant_local.messages import Message, as_messages, whole_text

__all__ = ["input_messages", "output_messages"]


def input_messages(asked: Sequence[Any]) -> str:
    """Of the arguments of a call, whatever form they have; nothing of what is no conversation."""
    first = asked[0] if asked else ()
    if not isinstance(first, str | Sequence):  # reading it would take it from the call
        return "[]"
    try:
        given = as_messages(first)
    except Exception:  # which the call is about to say
        return "[]"
    return _json([{"role": message.role, "parts": list(_parts(message))} for message in given])


def output_messages(texts: Sequence[str], reasons: Sequence[str]) -> str:
    return _json(
        [
            {"role": "assistant", "parts": [_text(text)], "finish_reason": reason or "error"}
            for text, reason in zip_longest(texts, reasons[: len(texts)])
        ]
    )


def _json(messages: list[dict[str, Any]]) -> str:
    """An exporter takes no unpaired surrogates, and would drop the spans of others with this one."""
    return whole_text(json.dumps(messages, ensure_ascii=False))


def _parts(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}
        return
    if message.reasoning:
        yield {"type": "reasoning", "content": message.reasoning}
    if message.content:
        yield _text(message.content)
    for call in message.tool_calls:
        yield {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}
