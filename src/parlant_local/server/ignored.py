"""Unknown fields of a request: listed in a response header and in the log, so that nothing is ignored silently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from parlant_local.messages import role_of
from parlant_local.messages.parts import CALL, RESULT, THOUGHT, kind_named
from parlant_local.server.binding import FORMAT_SCHEMAS
from parlant_local.server.shapes.chat import (
    AdditionalKwargs,
    ChatMessage,
    ChatRequest,
    FormatShape,
    Part,
    ToolChoiceShape,
    ToolShape,
)
from parlant_local.server.thoughts import TEMPLATE_ARGUMENTS
from parlant_local.server.unread import unread_in_call, unread_in_content, unread_in_fields

__all__ = ["HEADER", "ignored_in"]

HEADER = "x-parlant-local-ignored"
_MOST = 20
_MAX_CHARACTERS = 64
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\-]")


def ignored_in(body: BaseModel) -> list[str]:
    """Their names, bounded in number and length, without characters that are unsafe in a header or a terminal."""
    # A header's value can't end with a space, as a list with an empty name at its end would.
    names = dict.fromkeys(_UNSAFE.sub("?", name[:_MAX_CHARACTERS]) or "(empty)" for name in _names(body, ""))
    found = list(names)
    return found if len(found) <= _MOST else [*found[:_MOST], f"and-{len(found) - _MOST}-more"]


def _names(model: BaseModel, place: str) -> Iterator[str]:
    if isinstance(model, Part) or _is_item(model):
        yield from unread_in_content(model.model_dump(exclude_none=True), place)
        return
    read = FORMAT_SCHEMAS if isinstance(model, FormatShape) else ()
    for name, value in (model.model_extra or {}).items():
        if value not in _ABSENT and name not in read:
            yield f"{place}{name}"
    yield from (f"{place}{name}" for name in _unused_fields(model))
    if isinstance(model, ChatMessage):
        yield from _names_in_message(model, place)
    elif isinstance(model, AdditionalKwargs):
        yield from _names_in_calls(model.tool_calls, model.function_call, place)
    else:
        yield from _names_in_fields(model, place)
    if isinstance(model, ChatRequest):
        given: dict[str, Any] = model.chat_template_kwargs or {}
        yield from (f"chat_template_kwargs.{name}" for name in given if name not in TEMPLATE_ARGUMENTS)


def _is_item(model: BaseModel) -> bool:
    """Whether an entry is no message but an item of a response, which is read as a part is."""
    return isinstance(model, ChatMessage) and model.role is None and kind_named(model.type) in (CALL, RESULT, THOUGHT)


def _unused_fields(model: BaseModel) -> Iterator[str]:
    """Fields that are known, but say nothing where another one is as it is."""
    unread: tuple[str, ...] = ()
    if isinstance(model, ToolShape) and model.function is not None:
        unread = ("name", "description", "parameters", "input_schema", "strict")
    elif isinstance(model, FormatShape) and (model.json_schema is not None or model.type in ("text", "grammar")):
        unread = ("name", "strict", "description")
    elif isinstance(model, ToolChoiceShape):
        read = {
            "function": ("function", "name"),
            "tool": ("name",),
            "allowed_tools": ("allowed_tools", "mode", "tools"),
        }
        unread = tuple({"function", "name", "allowed_tools", "mode", "tools"} - set(read.get(model.type, ())))
    elif isinstance(model, ChatRequest) and any(message.prefix for message in model.messages[:-1]):
        yield "messages.prefix"
    yield from sorted(name for name in unread if getattr(model, name) not in _ABSENT)


_ABSENT: tuple[Any, ...] = (None, [], {})


def _names_in_fields(model: BaseModel, place: str, *but: str) -> Iterator[str]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        for item in value if isinstance(value, list) and name not in but else (value,):
            if isinstance(item, BaseModel) and name not in but:
                yield from _names(item, f"{place}{name}.")


def _names_in_message(message: ChatMessage, place: str) -> Iterator[str]:
    yield from _names_in_fields(message, place, "content")
    given = message.model_dump(include={"content"}, exclude_none=True).get("content")
    of_tool = role_of(message.role or message.type) in ("tool", "function")
    yield from unread_in_content(given, f"{place}content.", of_tool=of_tool)
    yield from _names_in_calls(message.tool_calls, message.function_call, place)
    yield from unread_in_fields(message.provider_specific_fields, f"{place}provider_specific_fields.")
    for name in ("data", "kwargs"):  # LangChain's nested messages
        if isinstance(inner := getattr(message, name), dict):
            known = ChatMessage.model_fields
            yield from (f"{place}{name}.{key}" for key in inner if key not in known and inner[key] not in _ABSENT)
            yield from unread_in_content(inner.get("content"), f"{place}{name}.content.")


def _names_in_calls(calls: list[dict[str, Any]] | None, legacy: dict[str, Any] | None, place: str) -> Iterator[str]:
    for call in calls or ():
        yield from unread_in_call(call, f"{place}tool_calls.")
    yield from unread_in_call(legacy or {}, f"{place}function_call.")
