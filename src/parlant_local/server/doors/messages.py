"""Anthropic's Messages API: a request converted to a chat, and its answer as a message or as events."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from typing import Any

from pydantic_core import from_json

from parlant_local.messages import ChatChunk, ChatReply, FinishReason, ToolCallDelta, Usage
from parlant_local.server.doors.common import chat_request, one_answer
from parlant_local.server.replies import usage_of
from parlant_local.server.shapes.answers.messages import AnthropicMessage, MessageUsage
from parlant_local.server.shapes.chat import ChatRequest, FormatShape, JsonSchemaShape
from parlant_local.server.shapes.messages import CountRequest, MessagesRequest
from parlant_local.server.streams import sse

__all__ = ["PING", "MessageAnswer", "chat_of", "unused_in"]

PING = sse({"type": "ping"}, "ping")


def chat_of(body: MessagesRequest | CountRequest) -> ChatRequest:
    """The same question as a chat. Raises :class:`RequestRefusedError` for what can't be asked."""
    one_answer(body)
    config = body.output_config
    given: dict[str, Any] = {
        "messages": body.messages,
        "system": body.system,
        "tools": body.tools,
        "tool_choice": body.tool_choice,
        "thinking": body.thinking,
    }
    if config is not None and config.effort is not None and _thinks(body):
        given["reasoning_effort"] = config.effort
    if config is not None and config.format is not None:
        schema = JsonSchemaShape(schema=config.format.schema_)
        given["response_format"] = FormatShape(type="json_schema", json_schema=schema)
    if isinstance(body, MessagesRequest):
        given["stop"] = body.stop_sequences
        given["user"] = body.metadata.user_id if body.metadata is not None else None
    return chat_request(body, **given)


def unused_in(body: MessagesRequest | CountRequest) -> list[str]:
    """Known fields that say nothing in this request."""
    config = body.output_config
    return ["output_config.effort"] if config is not None and config.effort is not None and not _thinks(body) else []


def _thinks(body: MessagesRequest | CountRequest) -> bool:
    return body.thinking is not None and body.thinking.type != "disabled"


class MessageAnswer:
    """One message, whole or as events, which share its id."""

    def __init__(self, model: str, stops: Collection[str] = (), *, switched: bool = False) -> None:
        self.id = f"msg_{secrets.token_hex(12)}"
        self._model, self._stops, self._switched = model, stops, switched
        self._open: int | None = None
        self._kind = ""
        self._count = 0
        self._calls: dict[int, int] = {}
        self._finish: FinishReason | None = None
        self._stopped_by: str | None = None

    def whole(self, reply: ChatReply) -> AnthropicMessage:
        blocks: list[dict[str, Any]] = []
        if reply.reasoning:
            blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": ""})
        if reply.content:
            blocks.append({"type": "text", "text": reply.content})
        blocks += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}
            for call in reply.tool_calls
        ]
        self._finish, self._stopped_by = reply.finish_reason, reply.stopped_by
        reason, stop = self._ending()
        message = self._message(reply.model, usage_of(reply))
        return {**message, "content": blocks, "stop_reason": reason, "stop_sequence": stop}

    # -- events -------------------------------------------------------------------------------------------------------

    def start(self, model: str, usage: Usage) -> bytes:
        """``usage``: what is known of the prompt so far."""
        return _event("message_start", message=self._message(model, usage))

    def chunk(self, chunk: ChatChunk) -> Iterator[bytes]:
        delta = chunk.delta
        if delta.reasoning:
            yield from self._opened("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            yield self._delta({"type": "thinking_delta", "thinking": delta.reasoning})
        if delta.content:
            yield from self._opened("text", {"type": "text", "text": ""})
            yield self._delta({"type": "text_delta", "text": delta.content})
        for call in delta.tool_calls:
            yield from self._call(call)
        self._finish = chunk.finish_reason or self._finish
        self._stopped_by = chunk.stopped_by or self._stopped_by

    def end(self, usage: Usage) -> Iterator[bytes]:
        yield from self._closed()
        reason, stop = self._ending()
        yield _event("message_delta", delta={"stop_reason": reason, "stop_sequence": stop}, usage=_usage(usage))
        yield _event("message_stop")

    def _call(self, call: ToolCallDelta) -> Iterator[bytes]:
        if call.index not in self._calls:
            block = {"type": "tool_use", "id": call.id or "", "name": call.name or "", "input": {}}
            yield from self._opened(f"call {call.index}", block)
            self._calls[call.index] = self._count - 1
        if call.arguments:
            yield self._delta({"type": "input_json_delta", "partial_json": call.arguments}, self._calls[call.index])

    def _opened(self, kind: str, block: dict[str, Any]) -> Iterator[bytes]:
        if self._open is not None and self._kind == kind:
            return
        yield from self._closed()
        self._open, self._kind = self._count, kind
        self._count += 1
        yield _event("content_block_start", index=self._open, content_block=block)

    def _closed(self) -> Iterator[bytes]:
        if self._open is not None:
            yield _event("content_block_stop", index=self._open)
            self._open = None

    def _delta(self, delta: dict[str, Any], index: int | None = None) -> bytes:
        return _event("content_block_delta", index=self._open if index is None else index, delta=delta)

    # -- both ---------------------------------------------------------------------------------------------------------

    def _ending(self) -> tuple[str, str | None]:
        # Templates end answers with texts of their own, which nobody asked for.
        if self._finish == "stop" and self._stopped_by in self._stops:
            return "stop_sequence", self._stopped_by
        return _REASONS[self._finish or "stop"], None

    def _message(self, model: str, usage: Usage) -> AnthropicMessage:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": (model or self._model) if self._switched else self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(usage),
        }


_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def _usage(usage: Usage) -> MessageUsage:
    """Anthropic counts what a cache had beside the rest of a prompt."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _input(arguments: str) -> dict[str, Any]:
    """What the model wrote as an object, which is all that this API can hold: another value is its ``input``."""
    try:
        value = from_json(arguments or "{}", allow_partial="trailing-strings")
    except ValueError:
        value = arguments
    return value if isinstance(value, dict) else {"input": value}


def _event(kind: str, **facts: Any) -> bytes:
    return sse({"type": kind, **facts}, kind)
