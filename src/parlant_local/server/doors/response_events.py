"""A response as it grows: its items, and the events that tell of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from parlant_local.backends.buffered import reply_chunks
from parlant_local.messages import ChatChunk, ChatReply, FinishReason, ToolCallDelta, Usage
from parlant_local.server.problems import Problem
from parlant_local.server.replies import logprob_json, usage_of
from parlant_local.server.shapes.answers.responses import AskedFacts, ResponseAnswer, ResponseUsage

__all__ = ["GrowingResponse"]

Event = dict[str, Any]


@dataclass(slots=True)
class _Item:
    index: int
    value: dict[str, Any]
    pieces: list[str] = field(default_factory=list)


class GrowingResponse:
    """``stored``: whether it will be kept."""

    def __init__(self, model: str, facts: AskedFacts, *, stored: bool, switched: bool = False) -> None:
        self.id = f"resp_{secrets.token_hex(24)}"
        self._model, self._switched, self._facts, self._stored = model, switched, facts, stored
        self._created = int(time.time())
        self._completed: int | None = None
        self._status = "in_progress"
        self._error: dict[str, Any] | None = None
        self._usage: Usage | None = None
        self._finish: FinishReason | None = None
        self._items: list[_Item] = []
        self._open: _Item | None = None
        self._calls: dict[int, _Item] = {}
        self._logprobs: list[Any] = []
        self._untold: list[Any] = []
        """Of ``_logprobs``, those that no event has had yet."""
        self._sequence = 0

    def whole(self, reply: ChatReply) -> ResponseAnswer:
        for chunk in reply_chunks(reply):
            for _ in self.chunk(chunk):
                pass
        for _ in self.end(usage_of(reply)):
            pass
        return self.written()

    def written(self) -> ResponseAnswer:
        """As it is now."""
        reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(self._finish or "")
        incomplete = {"reason": reason} if reason is not None and self._status == "incomplete" else None
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "completed_at": self._completed,
            "status": self._status,
            "background": False,
            "error": self._error,
            "incomplete_details": incomplete,
            "model": self._model,
            "output": [dict(item.value) for item in self._items],
            "store": self._stored,
            "usage": None if self._usage is None else _usage(self._usage),
            **self._facts,
        }

    # -- events -------------------------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        return self._sequence > 0

    def begin(self) -> Iterator[Event]:
        for kind in ("created", "in_progress"):
            yield self._event(f"response.{kind}", response=self.written())

    def chunk(self, chunk: ChatChunk) -> Iterator[Event]:
        if self._switched and chunk.model:
            self._model = chunk.model
        delta = chunk.delta
        logprobs = [logprob_json(item) for item in chunk.logprobs or ()]
        self._logprobs += logprobs
        self._untold += logprobs
        if delta.reasoning:
            yield from self._grown("reasoning", delta.reasoning)
        if delta.content:
            yield from self._grown("message", delta.content)
        for call in delta.tool_calls:
            yield from self._called(call)
        self._finish = chunk.finish_reason or self._finish

    def end(self, usage: Usage) -> Iterator[Event]:
        """The rest, and what became of it: nothing changes after."""
        self._status = "incomplete" if self._finish in ("length", "content_filter") else "completed"
        yield from self._closed(self._status)
        self._usage, self._completed = usage, int(time.time())
        yield self._event(f"response.{self._status}", response=self.written())

    def failed(self, problem: Problem) -> Iterator[Event]:
        if not self.begun:
            yield from self.begin()
        self._status = "failed"
        code = {429: "rate_limit_exceeded"}.get(problem.status, "server_error")
        self._error = {"code": code, "message": problem.message}
        yield self._event("error", code=problem.code, message=problem.message, param=problem.param)
        yield self._event("response.failed", response=self.written())

    def _grown(self, kind: str, text: str) -> Iterator[Event]:
        if self._open is None or self._open.value["type"] != kind:
            yield from self._opened(_new_text(kind))
            yield self._of_part("response.content_part.added", part=_part(kind, "", []))
        assert self._open is not None
        self._open.pieces.append(text)
        if kind == "reasoning":
            yield self._of_part("response.reasoning_text.delta", delta=text)
            return
        told, self._untold = self._untold, []
        yield self._of_part("response.output_text.delta", delta=text, logprobs=told)

    def _called(self, call: ToolCallDelta) -> Iterator[Event]:
        if call.index not in self._calls:
            yield from self._opened(_new_call(call))
            assert self._open is not None
            self._calls[call.index] = self._open
        item = self._calls[call.index]
        if call.arguments:
            item.pieces.append(call.arguments)
            item.value["arguments"] = "".join(item.pieces) if item is not self._open else ""
            yield self._of_item("response.function_call_arguments.delta", item, delta=call.arguments)

    def _opened(self, value: dict[str, Any]) -> Iterator[Event]:
        yield from self._closed("completed")
        self._open = _Item(len(self._items), value)
        self._items.append(self._open)
        yield self._event("response.output_item.added", output_index=self._open.index, item=dict(value))

    def _closed(self, status: str) -> Iterator[Event]:
        """Ends the open item, if there is one, with the events that tell it whole."""
        if (item := self._open) is None:
            return
        text, kind = "".join(item.pieces), item.value["type"]
        if kind == "function_call":
            item.value["arguments"] = text
            yield self._of_item("response.function_call_arguments.done", item, arguments=text)
        else:
            part = _part(kind, text, self._logprobs if kind == "message" else [])
            if kind == "reasoning":
                yield self._of_part("response.reasoning_text.done", text=text)
            else:
                yield self._of_part("response.output_text.done", text=text, logprobs=part["logprobs"])
                self._logprobs, self._untold = [], []
            yield self._of_part("response.content_part.done", part=part)
            item.value["content"] = [part]
        item.value["status"] = status
        self._open = None
        yield self._event("response.output_item.done", output_index=item.index, item=dict(item.value))

    def _of_item(self, kind: str, item: _Item, **facts: Any) -> Event:
        return self._event(kind, item_id=item.value["id"], output_index=item.index, **facts)

    def _of_part(self, kind: str, **facts: Any) -> Event:
        assert self._open is not None
        return self._of_item(kind, self._open, content_index=0, **facts)

    def _event(self, kind: str, **facts: Any) -> Event:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence - 1, **facts}


def _new_text(kind: str) -> dict[str, Any]:
    if kind == "reasoning":
        facts: dict[str, Any] = {"id": _identity("rs"), "type": kind, "summary": [], "content": []}
    else:
        facts = {"id": _identity("msg"), "type": kind, "role": "assistant", "content": []}
    return {**facts, "status": "in_progress"}


def _new_call(call: ToolCallDelta) -> dict[str, Any]:
    return {
        "id": _identity("fc"),
        "type": "function_call",
        "call_id": call.id or _identity("call"),
        "name": call.name or "",
        "arguments": "",
        "status": "in_progress",
    }


def _identity(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(24)}"


def _part(kind: str, text: str, logprobs: list[Any]) -> dict[str, Any]:
    if kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def _usage(usage: Usage) -> ResponseUsage:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
