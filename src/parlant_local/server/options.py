"""Converts a request to the options of a backend call, with the server's limits applied."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from parlant_local.backends.openai_wire import SCHEMA_HEADER, SESSION_HEADER
from parlant_local.call_options import ChatOptions, token_biases
from parlant_local.errors import RequestRefusedError
from parlant_local.messages import Message, as_messages
from parlant_local.server.binding import binding_options
from parlant_local.server.shapes.chat import ChatMessage, ChatRequest, Sampling
from parlant_local.server.shapes.sampling import asked_options
from parlant_local.server.thoughts import thought_options
from parlant_local.settings import LimitSettings

__all__ = [
    "BINDING",
    "belonging",
    "chat_options",
    "check_texts",
    "conversation_of",
    "messages_of",
    "refuse_unknown",
    "sampling_options",
]

BINDING = ("tools", "tool_choice", "functions", "function_call")
"""Fields that constrain an answer to tool calls."""


def messages_of(given: list[ChatMessage], limits: LimitSettings) -> tuple[Message, ...]:
    """Raises :class:`BadRequestError`, and :class:`RequestRefusedError` where one is too long."""
    messages = as_messages(item.model_dump(exclude_none=True) for item in given)
    check_texts([message.content or "" for message in messages], limits, "messages")
    return messages


def conversation_of(request: ChatRequest) -> list[ChatMessage]:
    if not request.system:
        return request.messages
    return [ChatMessage(role="system", content=request.system), *request.messages]


def check_texts(texts: list[str], limits: LimitSettings, param: str) -> None:
    for index, text in enumerate(texts):
        if len(text) > limits.message_characters:
            raise RequestRefusedError(
                400,
                f"{param}[{index}] has {len(text)} characters; {limits.message_characters} are allowed "
                "(limits.message_characters).",
                code="text_too_long",
                param=param,
            )


def refuse_unknown(body: BaseModel, names: tuple[str, ...], instead: str) -> None:
    """Rejects unsupported constraints; other unknown fields are only reported."""
    extra = body.model_extra or {}
    for name in names:
        if extra.get(name) not in (None, [], {}, "none", "auto"):
            raise RequestRefusedError(
                400, f"{name} is not supported here: use {instead}.", code="unsupported", param=name
            )


def sampling_options(request: Sampling, limits: LimitSettings) -> ChatOptions:
    found: dict[str, Any] = asked_options(request) | {"stop": request.stop}
    if request.user:
        found["session"] = _digest(request.user)
    asked = request.max_completion_tokens if isinstance(request, ChatRequest) else None
    found["max_tokens"] = _max_tokens(found.get("max_tokens") if asked is None else asked, limits)
    found |= binding_options(request)
    if found.get("n", 1) > limits.choices:
        raise RequestRefusedError(
            400, f"n may be at most {limits.choices} (limits.choices).", code="too_many_choices", param="n"
        )
    if request.logit_bias:
        found["logit_bias"] = token_biases(request.logit_bias)
    return _given(found)


def belonging(headers: Mapping[str, str], limits: LimitSettings) -> ChatOptions:
    """Which calls a call belongs with, where its headers tell: the conversation, before ``user``, and the schema's name."""
    found: ChatOptions = {}
    for header in (SESSION_HEADER, SCHEMA_HEADER):
        if len(headers.get(header, "")) > limits.name_characters:
            raise RequestRefusedError(
                400,
                f"{header} has {len(headers[header])} characters; {limits.name_characters} are allowed (limits.name_characters).",
                code="bad_name",
            )
    if session := headers.get(SESSION_HEADER):
        found["session"] = _digest(session)
    if schema := headers.get(SCHEMA_HEADER):
        found["prefix_group"] = schema
    return found


def chat_options(request: ChatRequest, limits: LimitSettings, last: Message) -> ChatOptions:
    """``last``: the conversation's last message, which the answer may continue."""
    found: dict[str, Any] = dict(sampling_options(request, limits))
    if request.logprobs:
        found["logprobs"] = request.top_logprobs or 0
    elif request.top_logprobs:
        raise RequestRefusedError(400, "top_logprobs requires logprobs.", code="bad_request", param="top_logprobs")
    if request.audio is not None or any(kind != "text" for kind in request.modalities or ()):
        raise RequestRefusedError(
            400, "There is no audio output: only text is supported.", code="unsupported", param="modalities"
        )
    found["continue_final"] = _continued(request, last)
    return _given(found | _tools(request) | thought_options(request))


def _tools(request: ChatRequest) -> dict[str, Any]:
    if request.functions and (request.tools or request.tool_choice is not None):
        raise RequestRefusedError(
            400, "functions and tools can't be combined: give one.", code="bad_request", param="functions"
        )
    tools = [tool.model_dump(exclude_none=True) for tool in request.tools or ()]
    tools += [{"type": "function", "function": item.model_dump(exclude_none=True)} for item in request.functions or ()]
    choice: Any = request.tool_choice if request.tool_choice is not None else request.function_call
    if isinstance(choice, BaseModel):
        choice = _without_unused_fields(choice)
    found: dict[str, Any] = {"tools": tools, "parallel_tool_calls": request.parallel_tool_calls}
    if choice is not None and (tools or choice not in ("auto", "none")):
        found["tool_choice"] = choice
    return found


def _without_unused_fields(choice: BaseModel) -> dict[str, Any]:
    """A choice without the fields that have no effect with its type, which are reported as ignored."""
    found = choice.model_dump(exclude_none=True)
    if found.get("type") in ("auto", "none", "any", "required"):
        return {name: value for name, value in found.items() if name in ("type", "disable_parallel_tool_use")}
    return found


def _continued(request: ChatRequest, last: Message) -> bool | None:
    """Whether a final assistant message is continued: by the request's options, or by the message's own."""
    asked = request.continue_final_message
    if asked is None and request.messages[-1].prefix:
        asked = True
    if request.add_generation_prompt and asked:
        raise RequestRefusedError(
            400,
            "add_generation_prompt starts a new message and continue_final_message continues the last one: give one.",
            code="bad_request",
            param="continue_final_message",
        )
    if request.add_generation_prompt is False and (asked is False or last.role != "assistant"):
        raise RequestRefusedError(
            400,
            "Without a generation prompt there is nothing to answer: end with an assistant message, which is continued, "
            "or omit add_generation_prompt.",
            code="bad_request",
            param="add_generation_prompt",
        )
    if asked is None and request.add_generation_prompt is not None:
        return not request.add_generation_prompt
    return asked


def _max_tokens(asked: int | None, limits: LimitSettings) -> int | None:
    if asked == -1 and limits.max_tokens is not None:
        asked = limits.max_tokens
    if limits.max_tokens is not None and asked is not None and asked > limits.max_tokens:
        raise RequestRefusedError(
            400,
            f"max_tokens is {asked}; this server allows at most {limits.max_tokens} (limits.max_tokens).",
            code="max_tokens_too_large",
            param="max_tokens",
        )
    return limits.max_tokens if asked is None else asked


def _digest(name: str) -> str:
    """A fixed length, whatever the name's."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def _given(options: dict[str, Any]) -> ChatOptions:
    given: Any = {name: value for name, value in options.items() if value is not None}
    return given  # type: ignore[no-any-return]  # a TypedDict made of checked parts
