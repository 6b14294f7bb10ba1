"""OpenAI's chat API as data: requests out of our parameters, replies into our types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from parlant_local.backends.base import ChatParams
from parlant_local.messages import (
    ChatChunk,
    ChatReply,
    Delta,
    FinishReason,
    Message,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)

__all__ = ["Quirks", "StreamAssembler", "completion_reply", "reply_of", "request_body"]

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_DROPPABLE = frozenset(
    {"temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "logprobs", "top_logprobs",
     "parallel_tool_calls", "stream_options", "logit_bias", "top_k", "min_p", "repeat_penalty", "chat_template_kwargs"}
)  # fmt: skip
_EXTENSIONS = ("top_k", "min_p", "repeat_penalty", "chat_template_kwargs")
"""Not OpenAI's, but understood by vLLM, llama-server and their kin."""


@dataclass
class Quirks:
    """What an endpoint turned out not to take; learned from its refusals, each of which costs one call."""

    dropped: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)

    def learn(self, status: int, param: str | None, text: str) -> bool:
        """Whether the refusal taught something, so that the call is worth sending again."""
        if status not in (400, 422):
            return False
        known = _DROPPABLE | {"max_tokens"}
        names = (
            [param]
            if param in known
            else [name for name in re.findall(r"['\"`]?([a-z_]+)['\"`]?", text) if name in known]
        )
        if not names or not re.search(
            r"support|unrecogni[sz]ed|unknown|extra|not permitted|unexpected", text, re.IGNORECASE
        ):
            return False
        name = names[0]
        if name == "max_tokens":
            if "max_completion_tokens" not in text or name in self.renamed:
                return False
            self.renamed[name] = "max_completion_tokens"
            return True
        if name in self.dropped:
            return False
        self.dropped.add(name)
        return True

    def fit(self, body: dict[str, Any]) -> dict[str, Any]:
        kept = {self.renamed.get(name, name): value for name, value in body.items() if name not in self.dropped}
        extras = {name: kept.pop(name) for name in _EXTENSIONS if name in kept}
        if extras:
            kept["extra_body"] = extras
        return kept


def request_body(model: str, messages: Iterable[Message], params: ChatParams) -> dict[str, Any]:
    """The body of ``/chat/completions`` without ``response_format`` and ``stream``; only what was asked for is sent."""
    body: dict[str, Any] = {"model": model, "messages": [_message(item) for item in messages], **_sampling(params)}
    if params.n > 1:
        body["n"] = params.n
    if params.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": params.logprobs}
    if params.tools:
        body["tools"] = [tool.to_openai() for tool in params.tools]
        named = params.tool_choice not in ("auto", "none", "required")
        body["tool_choice"] = (
            {"type": "function", "function": {"name": params.tool_choice}} if named else params.tool_choice
        )
        if not params.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    if params.reasoning != "auto":
        body["chat_template_kwargs"] = {"enable_thinking": params.reasoning == "on"}
    return body


def _sampling(params: ChatParams) -> dict[str, Any]:
    neutral = {"presence_penalty": 0.0, "frequency_penalty": 0.0, "repeat_penalty": 1.0}
    names = ("temperature", "top_p", "top_k", "min_p", "seed", "max_tokens", *neutral)
    body = {
        name: value for name in names if (value := getattr(params, name)) is not None and value != neutral.get(name)
    }
    if params.stop:
        body["stop"] = list(params.stop)
    if params.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in params.logit_bias.items()}
    return body


def _message(message: Message) -> dict[str, Any]:
    data = message.to_openai()
    data.pop("reasoning_content", None)  # thoughts of earlier turns are not sent on, least of all to another model
    return data


def reply_of(data: Any, model: str) -> ChatReply:
    """A ``ChatCompletion`` object as a reply. Raises ``ValueError`` where it has no choices."""
    choices = getattr(data, "choices", None)
    if not choices:
        raise ValueError("no choices")
    usage = usage_of(getattr(data, "usage", None))
    replies = [_choice(choice, usage if not position else Usage(), model) for position, choice in enumerate(choices)]
    return replace(replies[0], alternatives=tuple(replies[1:]))


def _choice(choice: Any, usage: Usage, model: str) -> ChatReply:
    message = choice.message
    calls = tuple(
        ToolCall(call.id or f"call_{position}", call.function.name, call.function.arguments or "{}")
        for position, call in enumerate(getattr(message, "tool_calls", None) or ())
        if getattr(call, "function", None) is not None
    )
    content = message.content or getattr(message, "refusal", None) or ""
    finish = finish_of(choice.finish_reason) or "stop"
    return ChatReply(
        content=content,
        reasoning=_reasoning(message),
        tool_calls=calls,
        finish_reason="tool_calls" if calls and finish == "stop" else finish,
        usage=usage,
        model=model,
        logprobs=_logprobs(getattr(choice, "logprobs", None)),
    )


def completion_reply(data: Any, model: str) -> ChatReply:
    """A text ``Completion`` object as a reply."""
    choices = getattr(data, "choices", None)
    if not choices:
        raise ValueError("no choices")
    replies = [
        ChatReply(content=item.text or "", finish_reason=finish_of(item.finish_reason) or "stop", model=model)
        for item in choices
    ]
    return replace(replies[0], usage=usage_of(getattr(data, "usage", None)), alternatives=tuple(replies[1:]))


def finish_of(value: Any) -> FinishReason | None:
    """Unknown reasons ("eos", "abort") count as a normal end."""
    return None if value is None else _FINISH.get(str(value), "stop")


def _reasoning(holder: Any) -> str:
    # Both names are in use: vLLM and SGLang moved to `reasoning`, DeepSeek and llama-server send `reasoning_content`.
    value = getattr(holder, "reasoning_content", None) or getattr(holder, "reasoning", None)
    return value if isinstance(value, str) else ""


def usage_of(usage: Any) -> Usage:
    """Local servers leave parts of it out; absent counts are zero."""
    if usage is None:
        return Usage()
    prompt_details = getattr(usage, "prompt_tokens_details", None)
    output_details = getattr(usage, "completion_tokens_details", None)
    return Usage(
        prompt_tokens=getattr(usage, "prompt_tokens", None) or 0,
        completion_tokens=getattr(usage, "completion_tokens", None) or 0,
        cached_tokens=getattr(prompt_details, "cached_tokens", None) or 0,
        reasoning_tokens=getattr(output_details, "reasoning_tokens", None) or 0,
    )


def _logprobs(data: Any) -> tuple[TokenLogprob, ...] | None:
    content = cast("Sequence[Any] | None", getattr(data, "content", None))
    if content is None:
        return None
    return tuple(
        TokenLogprob(
            token=item.token,
            logprob=item.logprob,
            bytes=tuple(item.bytes or ()),
            top=tuple((other.token, other.logprob) for other in item.top_logprobs or ()),
        )
        for item in content
    )


class StreamAssembler:
    """Turns wire chunks into ours: empty ones dropped, the end and the usage held back for the last chunk."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.content: dict[int, list[str]] = {}
        self.usage: Usage | None = None
        self.finished: dict[int, FinishReason] = {}
        self._called: set[int] = set()

    def feed(self, data: Any) -> list[ChatChunk]:
        if getattr(data, "usage", None) is not None:
            self.usage = usage_of(data.usage)
        chunks: list[ChatChunk] = []
        for choice in getattr(data, "choices", None) or ():
            index = getattr(choice, "index", 0) or 0
            if (delta := self._delta(index, choice.delta)) is not None:
                logprobs = _logprobs(getattr(choice, "logprobs", None))
                chunks.append(ChatChunk(delta=delta, index=index, model=self.model, logprobs=logprobs))
            if (reason := finish_of(choice.finish_reason)) is not None:
                self.finished[index] = "tool_calls" if reason == "stop" and index in self._called else reason
        return chunks

    def _delta(self, index: int, delta: Any) -> Delta | None:
        if delta is None:
            return None
        text = getattr(delta, "content", None) or getattr(delta, "refusal", None) or ""
        calls = tuple(
            ToolCallDelta(
                index=call.index or 0,
                id=call.id,
                name=getattr(call.function, "name", None),
                arguments=getattr(call.function, "arguments", None) or "",
            )
            for call in getattr(delta, "tool_calls", None) or ()
        )
        reasoning = _reasoning(delta)
        if text:
            self.content.setdefault(index, []).append(text)
        if calls:
            self._called.add(index)
        return Delta(text, reasoning, calls) if text or reasoning or calls else None

    def last(self) -> list[ChatChunk]:
        """The closing chunks, one per answer; the very last one has the usage."""
        indices = sorted(self.finished)
        usage = self.usage or Usage()
        return [
            ChatChunk(
                finish_reason=self.finished[index],
                usage=usage if index == indices[-1] else None,
                index=index,
                model=self.model,
            )
            for index in indices
        ]

    def whole(self) -> ChatReply:
        """The answers so far, for judging structured ones."""
        indices = sorted(self.finished) or [0]
        replies = [
            ChatReply(
                content="".join(self.content.get(index, ())),
                finish_reason=self.finished.get(index, "stop"),
                tool_calls=(ToolCall("", "", ""),) if index in self._called else (),
                usage=self.usage or Usage(),
                model=self.model,
            )
            for index in indices
        ]
        return replace(replies[0], alternatives=tuple(replies[1:]))
