"""Messages in the form that a template expects, adapted to what it can express."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from parlant_local.engine.parsing.formats import CallFormat
from parlant_local.engine.templates.capabilities import Capabilities
from parlant_local.messages import Message, Tool, ToolCall
from parlant_local.profiles import CallIds

__all__ = [
    "described_tools",
    "fold_systems",
    "merge_turns",
    "split_text_and_calls",
    "starting_with_user",
    "template_messages",
    "without_tool_roles",
]

_SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def template_messages(
    messages: Iterable[Message], capabilities: Capabilities, *, ids: CallIds = "given", thoughts: str | None = None
) -> list[dict[str, Any]]:
    """Dictionaries in the shape that Hugging Face's templates expect.

    ``ids``: the form of call ids that the model was trained on; others are mapped to it. ``thoughts``: the field in which the
    template expects thoughts.
    """
    names: dict[str, str] = {}
    known: dict[str, str] = {}
    count = itertools.count()
    result: list[dict[str, Any]] = []
    for message in messages:
        entry: dict[str, Any] = {"role": "tool" if message.role == "function" else message.role}
        entry["content"] = message.content or ""
        if message.tool_calls:
            names.update((call.id, call.name) for call in message.tool_calls)
            entry["content"] = message.content or (None if capabilities.null_content else "")
            known.update({call.id: _known_id(call, ids, next(count)) for call in message.tool_calls})
            entry["tool_calls"] = [_call(call, known[call.id], capabilities) for call in message.tool_calls]
        if message.role in ("tool", "function"):
            if name := message.name or names.get(message.tool_call_id or ""):
                entry["name"] = name
            if message.tool_call_id is not None:
                given = message.tool_call_id
                entry["tool_call_id"] = known.get(given) or (_short_id(given) if ids == "short" else given)
        elif message.name is not None:
            entry["name"] = message.name
        if message.reasoning is not None:
            _add_thoughts(entry, message.reasoning, thoughts)
        result.append(entry)
    return result


def _add_thoughts(entry: dict[str, Any], reasoning: str, field: str | None) -> None:
    if field == "parts":
        content = entry["content"]
        entry["content"] = [{"type": "thinking", "thinking": reasoning}]
        if content:
            entry["content"].append({"type": "text", "text": content})
    else:
        entry[field or "reasoning_content"] = reasoning


def _call(call: ToolCall, identifier: str, capabilities: Capabilities) -> dict[str, Any]:
    arguments: Any = call.arguments or "{}"
    if capabilities.object_arguments:
        with contextlib.suppress(ValueError):  # malformed arguments of a model are passed back unchanged
            arguments = call.parsed()
    return {"id": identifier, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _known_id(call: ToolCall, ids: CallIds, number: int) -> str:
    if ids == "numbered":
        return f"functions.{call.name}:{number}"
    return _short_id(call.id) if ids == "short" else call.id


def _short_id(identifier: str) -> str:
    if _SHORT_ID.fullmatch(identifier):
        return identifier
    digest = hashlib.sha256(identifier.encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:9])


def described_tools(messages: Sequence[Message], tools: Sequence[Tool], form: CallFormat) -> tuple[Message, ...]:
    """The conversation with the tools described in its system message, for templates that don't render them."""
    listing = "\n".join(json.dumps(tool.to_openai()["function"], ensure_ascii=False) for tool in tools)
    example = form.write([("function_name", '{"argument_name": "value"}')])
    text = (
        f"You can call these functions, each described by its JSON schema:\n{listing}\n\n"
        f"To call a function, answer with nothing but this:\n{example}\n"
        "When no function is needed, answer in plain words."
    )
    if messages and messages[0].role == "system":
        head = messages[0]
        return (replace(head, content=f"{head.content or ''}\n\n{text}".lstrip()), *messages[1:])
    return (Message.system(text), *messages)


def without_tool_roles(
    messages: Iterable[Message], form: CallFormat, *, calls: bool, results: bool
) -> tuple[Message, ...]:
    """``calls`` and ``results`` rewritten as plain messages, for templates that can't express them."""
    if not (calls or results):
        return tuple(messages)
    names: dict[str, str] = {}
    result: list[Message] = []
    for message in messages:
        if message.tool_calls:
            names.update((call.id, call.name) for call in message.tool_calls)
            if calls:
                written = form.write([(call.name, call.arguments or "{}") for call in message.tool_calls])
                content = f"{message.content}\n{written}" if message.content else written
                message = replace(message, content=content, tool_calls=())
        elif results and message.role in ("tool", "function"):
            name = message.name or names.get(message.tool_call_id or "") or "the function"
            message = Message.user(f"Result of {name}:\n{message.content or ''}")
        result.append(message)
    return tuple(result)


def split_text_and_calls(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Splits text and calls of one message into two, for templates that drop calls beside text."""
    result: list[Message] = []
    for message in messages:
        if message.tool_calls and message.content:
            result += [replace(message, tool_calls=()), replace(message, content=None, reasoning=None)]
        else:
            result.append(message)
    return tuple(result)


def fold_systems(messages: Sequence[Message], *, keep_first: bool) -> tuple[Message, ...]:
    """Prepends system messages to the next user message, for templates that reject or drop them."""
    result: list[Message] = []
    pending: list[str] = []
    for index, message in enumerate(messages):
        if message.role == "system" and not (keep_first and index == 0):
            pending.append(message.content or "")
        elif message.role == "user" and pending:
            result.append(replace(message, content="\n\n".join([*pending, message.content or ""])))
            pending = []
        elif pending and all(earlier.role == "system" for earlier in result):
            result += [
                Message.user("\n\n".join(pending)),
                message,
            ]  # the assistant's first message must come after the instructions
            pending = []
        else:
            result.append(message)
    if pending:
        result.append(Message.user("\n\n".join(pending)))
    return tuple(result)


def starting_with_user(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Adds an empty user turn before a conversation that the assistant begins, for templates that require alternating roles."""
    first = next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))
    if first == len(messages) or messages[first].role == "user":
        return tuple(messages)
    return (*messages[:first], Message.user(""), *messages[first:])


def merge_turns(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Merges consecutive plain messages of one role, for templates that require alternating roles."""
    result: list[Message] = []
    for message in messages:
        last = result[-1] if result else None
        if (
            last is not None
            and last.role == message.role
            and message.role in ("user", "assistant", "system")
            and not last.tool_calls
            and not message.tool_calls
        ):
            result[-1] = replace(last, content="\n\n".join(filter(None, [last.content, message.content])))
        else:
            result.append(message)
    return tuple(result)
