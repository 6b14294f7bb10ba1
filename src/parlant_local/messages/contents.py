"""Reads message contents in every client's form: OpenAI's parts, Anthropic's blocks, LangChain's, LibreChat's, the AI SDK's,
Gemini's. Extracts text, thoughts, calls and results; any other part is rejected by its type."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from parlant_local.errors import BadRequestError
from parlant_local.messages.media import MediaPart, media_part_of
from parlant_local.messages.parts import (
    CALL,
    CALL_WITH_RESULT,
    ENCRYPTED,
    IGNORED,
    MEDIA,
    REFUSAL,
    RESULT,
    STEP,
    TEXT,
    THOUGHT,
    kind_named,
    kind_of,
    typed,
)
from parlant_local.messages.text import shown

__all__ = [
    "THOUGHT_FIELDS",
    "Call",
    "Content",
    "Result",
    "call_of",
    "content_of",
    "identity_of",
    "is_outcome",
    "optional_text",
    "thoughts_of",
    "tool_content_of",
    "turns_of",
]


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call."""

    id: str | None
    name: str | None
    text: str
    media: tuple[MediaPart, ...] = ()


@dataclass(slots=True)
class Content:
    text: str | None = None
    thoughts: str | None = None
    calls: list[Call] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    media: list[MediaPart] = field(default_factory=list)


def content_of(content: Any) -> Content:
    """Raises :class:`BadRequestError` naming the type of a part that is not text, thought, call or result."""
    if content is None or isinstance(content, str):
        return Content(content)
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Sequence):
        raise BadRequestError(f"Message content must be text or a list of parts, not {type(content).__name__}.")
    found = Content()
    texts, thoughts = [], []
    for given in content:
        if isinstance(given, str):
            texts.append(given)
            continue
        part = typed(given) if isinstance(given, Mapping) else {}
        kind = kind_named(part.get("type"))
        if kind is TEXT:
            texts.append(_text(part.get("text")))
        elif kind is REFUSAL:
            texts.append(_text(part.get("refusal")))
        elif kind is THOUGHT:
            thoughts.append(_thought(part))
        elif kind in (CALL, CALL_WITH_RESULT):
            found.calls.append(call_of(part))
            found.results += _embedded_results(part)
        elif kind is RESULT:
            found.results.append(_result(part))
        elif kind is MEDIA:
            found.media.append(media_part_of(part, sum(map(len, texts))))
        elif kind not in (ENCRYPTED, IGNORED, STEP):
            raise _unknown(given)
    found.text = "".join(texts)
    found.thoughts = "".join(thoughts) or None
    return found


def turns_of(content: Any) -> list[list[Any]]:
    """Splits an assistant's parts into messages: after results another one begins."""
    turns: list[list[Any]] = [[]]
    answered = False
    for given in content if isinstance(content, list | tuple) else (content,):
        kind = TEXT if isinstance(given, str) else kind_of(given)
        if answered and kind in (TEXT, THOUGHT, STEP):
            turns.append([])
            answered = False
        turns[-1].append(given)
        answered = (
            answered
            or kind is RESULT
            or (kind in (CALL, CALL_WITH_RESULT) and any(True for _ in _embedded_results(typed(given))))
        )
    return turns


def tool_content_of(content: Any) -> Content:
    """The content of a tool message: its result, which may be any JSON, or parts that name their call."""
    if any(kind_of(part) is RESULT for part in _listed(content)):
        return content_of(content)
    return _outcome(content)


THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thinking_blocks", "reasoning_details")


def thoughts_of(message: Mapping[str, Any]) -> str | None:
    """The thoughts in fields beside a message's content."""
    beside = message.get("provider_specific_fields")  # LiteLLM's
    for holder, name in [
        (holder, name) for holder in (message, beside) if isinstance(holder, Mapping) for name in THOUGHT_FIELDS
    ]:
        value = holder.get(name)
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
    """A tool call: OpenAI's function, or flat name and arguments, under any of their field names."""
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
    return Call(
        identity_of(_first(data, "call_id", "id", "toolCallId") or _first(function, "id")) or "", name, arguments
    )


def _result(part: Mapping[str, Any]) -> Result:
    identity = identity_of(_first(part, "tool_use_id", "tool_call_id", "call_id", "toolCallId"))
    name = _first(part, "name", "toolName")
    outcome = _first(part, "content", "output", "result", "response")
    failed = part.get("is_error") or part.get("isError")
    if isinstance(outcome, Mapping) and outcome.get("type") in ("error-text", "error-json"):  # the AI SDK's
        failed = True
    return _result_of(outcome, identity, name if isinstance(name, str) else None, failed=bool(failed))


def _result_of(outcome: Any, identity: str | None, name: str | None, *, failed: bool = False) -> Result:
    content = _failed(_outcome(outcome)) if failed else _outcome(outcome)
    return Result(identity, name, content.text or "", tuple(content.media))


def _failed(content: Content) -> Content:
    before = "Error: "
    media = [replace(part, at=part.at + len(before)) for part in content.media]
    return Content(before + (content.text or ""), media=media)


def _embedded_results(part: Mapping[str, Any]) -> Iterable[Result]:
    """LibreChat and the AI SDK keep a call and its result in one part."""
    if kind_of(part) is CALL_WITH_RESULT:
        if any(part.get(name) is not None for name in ("output", "result")):
            yield _result(part)
        elif part.get("errorText") is not None:
            yield _result({**part, "is_error": True, "output": part["errorText"]})
        return
    inner = part.get("tool_call")
    if isinstance(inner, Mapping) and inner.get("output") is not None:
        call = call_of(part)
        yield _result_of(inner["output"], call.id or None, call.name)


def _outcome(value: Any) -> Content:
    """A tool's output: parts are read, other values serialised as JSON."""
    if value is None or isinstance(value, str):
        return Content(value or "")
    if isinstance(value, Mapping):
        if typed(value).get("type") in _OUTPUTS and "value" in value:  # the AI SDK's
            return _outcome(value["value"])
        if value.keys() <= _MCP_FIELDS and any(kind_of(part) is MEDIA for part in _listed(value.get("content"))):
            found = content_of(value["content"])
            return _failed(found) if value.get("isError") else found
    if is_outcome(value):
        return Content(json.dumps(value, ensure_ascii=False))
    found = content_of(value)
    return Content(found.text or "", media=found.media)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def is_outcome(value: Any) -> bool:
    """Whether a tool's output is a plain value, not message parts."""
    parts = [value] if isinstance(value, Mapping) else value
    return not (isinstance(parts, list | tuple) and all(isinstance(part, Mapping) and "type" in part for part in parts))


_MCP_FIELDS = frozenset({"content", "isError", "structuredContent", "_meta"})
_OUTPUTS = frozenset({"text", "json", "content", "error-text", "error-json"})


def _thought(part: Mapping[str, Any]) -> str:
    names = ("thinking", "think", "reasoning_content", "reasoning", "text", "content", "summary")
    # Items of a response have both a summary and the thoughts themselves, either of which may be an empty list.
    value = next((part[name] for name in names if part.get(name) not in (None, [], "")), None)
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


def identity_of(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, str):
        return value
    raise BadRequestError(f"The id of a tool call must be text, not {shown(value)}.")


def _first(data: Mapping[str, Any], *names: str) -> Any:
    return next((data[name] for name in names if data.get(name) is not None), None)


def _unknown(part: Any) -> BadRequestError:
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    what = f"of type {shown(kind)!r}" if kind is not None else f"with {shown(', '.join(map(str, part)))} and no type"
    return BadRequestError(f"Message parts {what} are not supported.", hint="Send text, pictures or sounds.")


def optional_text(data: Mapping[str, Any], key: str) -> str | None:
    """A field that is text or absent."""
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise BadRequestError(f"{key} must be text, not {shown(value)}.")
    return value
