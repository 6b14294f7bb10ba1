"""What stands in a message, in the words of whoever wrote it: OpenAI's parts, Anthropic's blocks, LangChain's, LibreChat's, the
AI SDK's. Text, thoughts, calls and results come out; what is none of these is refused by its name."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parlant_local.errors import BadRequestError

__all__ = [
    "CALLS",
    "PART_WORDS",
    "RESULTS",
    "THOUGHTS",
    "Call",
    "Content",
    "Result",
    "call_of",
    "content_of",
    "shown",
    "thoughts_of",
    "tool_content_of",
]

_TEXTS = frozenset({"text", "input_text", "output_text", "summary_text"})
_REFUSALS = frozenset({"refusal"})
THOUGHTS = frozenset({"thinking", "think", "reasoning", "reasoning_text", "reasoning_content", "reasoning.text",
                      "reasoning.summary"})  # fmt: skip
_SEALED = frozenset({"redacted_thinking", "reasoning.encrypted"})  # only who wrote them can read them
CALLS = frozenset({"tool_use", "tool_call", "tool-call", "function_call"})
RESULTS = frozenset({"tool_result", "tool-result", "function_call_output"})
_MOST_SHOWN = 200
PART_WORDS = frozenset(
    "text refusal thinking think reasoning reasoning_content summary content function tool_call custom name toolName "
    "arguments args input output result id call_id toolCallId tool_use_id tool_call_id is_error isError "
    "signature data index format status".split()
)
"""What is read of a part, and what only says again where it came from."""


def shown(value: Any) -> str:
    """A value that somebody gave, for a message about it: cut, and nothing in it that moves a terminal's cursor."""
    if not isinstance(value, str):
        try:
            return reprlib.repr(value)
        except ValueError:  # a number of more digits than Python writes
            return f"a very large {type(value).__name__}"
    text = value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}…"
    return text if text.isprintable() else repr(text)


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave."""

    id: str | None
    name: str | None
    text: str


@dataclass(slots=True)
class Content:
    text: str | None = None
    thoughts: str | None = None
    calls: list[Call] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)


def content_of(content: Any) -> Content:
    """Raises :class:`BadRequestError` naming the type of a part that is neither text, thought, call nor result."""
    if content is None or isinstance(content, str):
        return Content(content)
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Sequence):
        raise BadRequestError(f"Message content must be text or a list of parts, not {type(content).__name__}.")
    found = Content()
    texts, thoughts = [], []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(part, str):
            texts.append(part)
        elif not isinstance(part, Mapping) or not isinstance(kind, str | None):
            raise _unknown(part)
        elif kind in _TEXTS or (kind is None and "text" in part):
            texts.append(_text(part.get("text")))
        elif kind in _REFUSALS:
            texts.append(_text(part.get("refusal")))
        elif kind in THOUGHTS:
            thoughts.append(_thought(part))
        elif kind in CALLS:
            found.calls.append(call_of(part))
            found.results += _told_with(part)
        elif kind in RESULTS:
            found.results.append(_result(part))
        elif kind not in _SEALED:
            raise _unknown(part)
    found.text = "".join(texts)
    found.thoughts = "".join(thoughts) or None
    return found


def tool_content_of(content: Any) -> Content:
    """Of a tool's own message: its result, which may be any JSON, or parts that say whose result they are."""
    listed = content if isinstance(content, list | tuple) else ()
    if any(isinstance(part, Mapping) and part.get("type") in RESULTS for part in listed):
        return content_of(content)
    return Content(_outcome(content))


def thoughts_of(message: Mapping[str, Any]) -> str | None:
    """The thoughts that stand beside a message's content."""
    for name in ("reasoning_content", "reasoning", "thinking", "thinking_blocks", "reasoning_details"):
        value = message.get(name)
        if isinstance(value, str):
            if value:
                return value
        elif isinstance(value, Mapping):
            return _thought(value) or None
        elif isinstance(value, Sequence):
            return content_of(value).thoughts
        elif value is not None:
            raise BadRequestError(f"{name} must be text, not {shown(value)}.")
    return None


def call_of(data: Any) -> Call:
    """A tool call: OpenAI's function, or name and arguments side by side, under any of their names."""
    inner = _first(data, "function", "tool_call", "custom") if isinstance(data, Mapping) else None
    function = inner if isinstance(inner, Mapping) else data
    name = _first(function, "name", "toolName") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or not name:
        raise BadRequestError(f"A tool call needs a function with a name; got {shown(data)}.")
    arguments = _first(function, "arguments", "args", "input")
    if arguments is None:
        arguments = "{}"
    elif "custom" in data:
        arguments = json.dumps({"input": arguments}, ensure_ascii=False)
    elif not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return Call(_identity(_first(data, "call_id", "id", "toolCallId") or _first(function, "id")) or "", name, arguments)


def _result(part: Mapping[str, Any]) -> Result:
    identity = _identity(_first(part, "tool_use_id", "tool_call_id", "call_id", "toolCallId"))
    name = _first(part, "name", "toolName")
    text = _outcome(_first(part, "content", "output", "result"))
    if part.get("is_error") or part.get("isError"):
        text = f"Error: {text}"
    return Result(identity, name if isinstance(name, str) else None, text)


def _told_with(part: Mapping[str, Any]) -> Iterable[Result]:
    """LibreChat keeps a call and its result in one part."""
    inner = part.get("tool_call")
    if isinstance(inner, Mapping) and inner.get("output") is not None:
        call = call_of(part)
        yield Result(call.id or None, call.name, _outcome(inner["output"]))


def _outcome(value: Any) -> str:
    """What a tool gave, as text: parts are read, other values are written as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Mapping) and set(value) == {"type", "value"}:  # the AI SDK's
        return _outcome(value["value"])
    parts = [value] if isinstance(value, Mapping) else value
    if isinstance(parts, Sequence) and all(isinstance(part, Mapping) and "type" in part for part in parts):
        return content_of(parts).text or ""
    return json.dumps(value, ensure_ascii=False)


def _thought(part: Mapping[str, Any]) -> str:
    value = _first(part, "thinking", "think", "reasoning_content", "reasoning", "text", "summary", "content")
    if isinstance(value, Mapping):
        return _thought(value)
    if isinstance(value, str) or value is None:
        return value or ""
    inner = content_of(value)
    return "".join(filter(None, [inner.thoughts, inner.text]))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):  # {"value": "…", "annotations": […]}
        value = value.get("value")
    if value is None or isinstance(value, str):
        return value or ""
    raise BadRequestError(f"The text of a message part must be text, not {shown(value)}.")


def _identity(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise BadRequestError(f"The id of a tool call must be text, not {shown(value)}.")


def _first(data: Mapping[str, Any], *names: str) -> Any:
    return next((data[name] for name in names if data.get(name) is not None), None)


def _unknown(part: Any) -> BadRequestError:
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    what = f"of type {shown(kind)!r}" if kind is not None else f"with {shown(', '.join(map(str, part)))} and no type"
    return BadRequestError(f"Message parts {what} are not supported.", hint="Send text parts only.")
