"""OpenAI's Responses API: a question and the conversation before it, converted to a chat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from parlant_local.errors import RequestRefusedError
from parlant_local.messages import as_tools, role_of, shown
from parlant_local.messages.parts import CALL, RESULT, THOUGHT, kind_named
from parlant_local.server.doors.common import chat_request, one_answer
from parlant_local.server.shapes.answers.responses import AskedFacts
from parlant_local.server.shapes.chat import ChatMessage, ChatRequest, Part, ToolChoiceShape
from parlant_local.server.shapes.responses import InputTokensRequest, ResponsesRequest

__all__ = ["asked_facts", "chat_of", "items_of", "unused_in"]

_LOGPROBS = "message.output_text.logprobs"
_REFUSED = {
    "conversation": "Conversations are not kept under ids of their own: give previous_response_id, or the whole input.",
    "prompt": "Prompt templates are OpenAI's own: send their text as instructions and input.",
    "background": "Responses in the background are not supported: stream, or wait for the answer.",
}


def chat_of(body: ResponsesRequest | InputTokensRequest, before: Sequence[ChatMessage]) -> ChatRequest:
    """The same question as a chat; ``before``: the items of the conversation so far.

    Raises :class:`RequestRefusedError` for what can't be asked.
    """
    one_answer(body)
    for name, reason in _REFUSED.items():
        if getattr(body, name, None) not in (None, False):
            raise RequestRefusedError(400, reason, code="unsupported", param=name)
    given: dict[str, Any] = {
        "messages": _messages(body, before),
        "system": body.instructions,
        "tools": body.tools,
        "tool_choice": body.tool_choice,
        "parallel_tool_calls": body.parallel_tool_calls,
    }
    if body.text is not None and body.text.format is not None:
        given["response_format"] = body.text.format
    if body.reasoning is not None:
        given["reasoning_effort"] = body.reasoning.effort
    if isinstance(body, ResponsesRequest):
        given["max_completion_tokens"] = body.max_output_tokens
        given["user"] = body.user or body.safety_identifier
        if _wants_logprobs(body):
            given["logprobs"], given["top_logprobs"] = True, body.top_logprobs or 0
    return chat_request(body, **given)


def unused_in(body: ResponsesRequest) -> list[str]:
    """Known fields that say nothing in this request."""
    names = ["truncation"] if body.truncation == "auto" else []
    return names + [f"include.{name}" for name in body.include or () if name != _LOGPROBS]


def asked_facts(body: ResponsesRequest) -> AskedFacts:
    choice = body.tool_choice
    form = body.text.format.model_dump(by_alias=True, exclude_none=True) if body.text and body.text.format else None
    strict = [(tool.function or tool).strict for tool in body.tools or ()]
    tools = as_tools(tool.model_dump(exclude_none=True) for tool in body.tools or ())
    return {
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "reasoning": {"effort": body.reasoning.effort if body.reasoning is not None else None, "summary": None},
        "temperature": getattr(body, "temperature", None),
        "text": {"format": form or {"type": "text"}},
        "tool_choice": choice.model_dump(exclude_none=True)
        if isinstance(choice, ToolChoiceShape)
        else choice or "auto",
        "tools": [
            {"type": "function", "strict": bound, **tool.to_openai()["function"]}
            for tool, bound in zip(tools, strict, strict=True)
        ],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": getattr(body, "top_p", None),
        "truncation": "disabled",
        "user": body.user,
    }


def items_of(body: ResponsesRequest | InputTokensRequest) -> list[ChatMessage]:
    """The input as items. Raises :class:`RequestRefusedError` for those of OpenAI's own tools."""
    if isinstance(body.input, str):
        return [ChatMessage(role="user", content=body.input)]
    items = body.input or []
    for item in items:
        if item.role is None and kind_named(item.type) not in (CALL, RESULT, THOUGHT):
            raise RequestRefusedError(
                400,
                f"Input items of type {shown(item.type)} are not supported: send messages, function_call, "
                "function_call_output and reasoning.",
                code="unsupported",
                param="input",
            )
    return items


def _messages(body: ResponsesRequest | InputTokensRequest, before: Sequence[ChatMessage]) -> list[ChatMessage]:
    found = list(_turns([*before, *items_of(body)]))
    if not found:
        raise RequestRefusedError(400, "input is empty.", code="empty_input", param="input")
    return found


def _turns(items: Iterable[ChatMessage]) -> Iterable[ChatMessage]:
    """One message for what a model said at once: thoughts, text and calls, which are items of their own here."""
    gathered: list[ChatMessage] = []
    for item in items:
        if not _is_said(item):
            yield from _joined(gathered)
            yield item
            gathered = []
            continue
        if gathered and not _goes_on(gathered[-1], item):
            yield from _joined(gathered)
            gathered = []
        gathered.append(item)
    yield from _joined(gathered)


_THOUGHT, _TEXT, _CALL = range(3)


def _is_said(item: ChatMessage) -> bool:
    return role_of(item.role) == "assistant" if item.role is not None else kind_named(item.type) is not RESULT


def _place(item: ChatMessage) -> int:
    """Where in an answer it stands: a model thinks, speaks and calls."""
    if item.role is not None:
        return _TEXT
    return _CALL if kind_named(item.type) is CALL else _THOUGHT


def _goes_on(last: ChatMessage, item: ChatMessage) -> bool:
    """Whether both belong to one answer: several calls do, and several thoughts; two texts are two messages."""
    return _place(last) < _place(item) or _place(last) == _place(item) != _TEXT


def _joined(items: list[ChatMessage]) -> Iterable[ChatMessage]:
    if len(items) < 2:
        return items
    parts: list[Any] = []
    for item in items:
        if item.role is None:
            parts.append(Part.model_validate(item.model_dump(exclude_none=True)))
        else:
            parts += item.content if isinstance(item.content, list) else [item.content or ""]
    return [ChatMessage(role="assistant", content=parts)]


def _wants_logprobs(body: ResponsesRequest) -> bool:
    return bool(body.top_logprobs) or _LOGPROBS in (body.include or ())
