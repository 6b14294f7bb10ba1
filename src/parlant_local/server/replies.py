"""Responses in OpenAI's format."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TypeVar, cast

from parlant_local import __version__
from parlant_local.messages import ChatChunk, ChatReply, Delta, Timings, TokenLogprob, Usage
from parlant_local.server.shapes.answers import (
    AnswerHead,
    AssistantDelta,
    AssistantMessage,
    ChatChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatLogprob,
    ChatLogprobs,
    ChunkChoice,
    Progress,
    TextChoice,
    TextCompletion,
    TextCompletionChunk,
    TextLogprobs,
    TokenUsage,
)

__all__ = ["ChatAnswer", "CompletionAnswer", "logged_values", "logprob_json", "usage_json", "usage_of"]

R = TypeVar("R", str, str | None)

_FINGERPRINT = f"parlant-local-{__version__}"


class ChatAnswer:
    """One chat completion, whole or in chunks: they share an id and a time."""

    def __init__(self, model: str, *, switched: bool = False, legacy: bool = False) -> None:
        """``legacy``: the client uses ``function_call`` instead of tools."""
        self.model = model
        self._switched, self._legacy = switched, legacy
        self.id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._opened: set[int] = set()

    def whole(self, reply: ChatReply) -> ChatCompletion:
        """For :func:`json_answer`: log-probabilities, of which there may be very many, are generated lazily."""
        return {
            **self._head("chat.completion", reply.model),
            "choices": [self._choice(index, choice) for index, choice in enumerate(reply.choices)],
            "usage": usage_json(usage_of(reply)),
            "timings": _timings(reply.timings),
        }

    def chunk(self, chunk: ChatChunk, *, with_usage: bool) -> ChatCompletionChunk:
        """``with_usage``: every chunk has ``usage: null``, as in OpenAI's API."""
        delta = _delta(chunk.delta)
        if self._legacy and (calls := delta.pop("tool_calls", None)):
            delta["function_call"] = calls[0]["function"]
        if chunk.index not in self._opened:
            self._opened.add(chunk.index)
            delta = {"role": "assistant", "content": "", **delta}
        choice: ChunkChoice = {
            "index": chunk.index,
            "delta": delta,
            "logprobs": _logprobs(chunk.logprobs),
            "finish_reason": self._finish(chunk.finish_reason),
        }
        head = self._head("chat.completion.chunk", chunk.model)
        data: ChatCompletionChunk = {**head, "choices": [choice]}  # type: ignore[typeddict-item]  # a head has no more keys
        if with_usage:
            data["usage"] = None
        if chunk.timings is not None:
            data["timings"] = _timings(chunk.timings)
        return data

    def progress(self, progress: Progress) -> ChatCompletionChunk:
        head = self._head("chat.completion.chunk", "")
        return {**head, "choices": [], "progress": progress}  # type: ignore[typeddict-item]  # as above

    def usage(self, usage: Usage) -> ChatCompletionChunk:
        head = self._head("chat.completion.chunk", "")
        return {**head, "choices": [], "usage": usage_json(usage)}  # type: ignore[typeddict-item]  # as above

    def _choice(self, index: int, reply: ChatReply) -> ChatChoice:
        choice = _choice(index, reply)
        if self._legacy and (calls := choice["message"].pop("tool_calls", None)):
            choice["message"]["function_call"] = calls[0]["function"]
        choice["finish_reason"] = self._finish(reply.finish_reason)
        return choice

    def _finish(self, reason: R) -> R | str:
        return "function_call" if self._legacy and reason == "tool_calls" else reason

    def _head(self, kind: str, model: str) -> AnswerHead:
        return {
            "id": self.id,
            "object": kind,
            "created": self._created,
            # With the switcher, the model that answered.
            "model": (model or self.model) if self._switched else self.model,
            "system_fingerprint": _FINGERPRINT,
        }


class CompletionAnswer:
    """One text completion, whole or in chunks."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.id = f"cmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())

    def whole(self, choices: Sequence[tuple[str, ChatReply]], usage: Usage) -> TextCompletion:
        """``choices``: the prefix of each text (the echoed prompt, or empty), and the reply."""
        return {
            **self._head(),
            "choices": [
                self._choice(index, before + reply.content, reply.finish_reason, reply.logprobs, len(before))
                for index, (before, reply) in enumerate(choices)
            ],
            "usage": usage_json(usage),
        }

    def piece(
        self, index: int, text: str, finish: str | None, logprobs: Sequence[TokenLogprob] | None, *, with_usage: bool
    ) -> TextCompletionChunk:
        choice = self._choice(index, text, finish, logprobs, 0)
        data: TextCompletionChunk = {**self._head(), "choices": [choice]}  # type: ignore[typeddict-item]  # as above
        if with_usage:
            data["usage"] = None
        return data

    def usage(self, usage: Usage) -> TextCompletionChunk:
        return {**self._head(), "choices": [], "usage": usage_json(usage)}

    @staticmethod
    def _choice(
        index: int, text: str, finish: str | None, logprobs: Sequence[TokenLogprob] | None, offset: int
    ) -> TextChoice:
        logprobs_json: TextLogprobs | None = None
        if logprobs is not None:
            offsets = []
            for item in logprobs:
                offsets.append(offset)
                offset += len(item.token)
            logprobs_json = {
                "tokens": [item.token for item in logprobs],
                "token_logprobs": [item.logprob for item in logprobs],
                "top_logprobs": [dict(item.top) for item in logprobs],
                "text_offset": offsets,
            }
        return {"index": index, "text": text, "logprobs": logprobs_json, "finish_reason": finish}

    def _head(self) -> AnswerHead:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self._created,
            "model": self.model,
            "system_fingerprint": _FINGERPRINT,
        }


def logged_values(replies: Iterable[ChatReply]) -> int:
    """The number of JSON values in the log-probabilities, which dominate a response."""
    return sum(6 * (len(item.top) + 1) for reply in replies for item in reply.logprobs or ())


def usage_of(reply: ChatReply) -> Usage:
    """The usage of all choices; the prompt counts once."""
    choices = reply.choices
    return Usage(
        prompt_tokens=reply.usage.prompt_tokens,
        completion_tokens=sum(choice.usage.completion_tokens for choice in choices),
        cached_tokens=reply.usage.cached_tokens,
        reasoning_tokens=sum(choice.usage.reasoning_tokens for choice in choices),
    )


def usage_json(usage: Usage) -> TokenUsage:
    return cast("TokenUsage", usage.to_openai())


def _choice(index: int, reply: ChatReply) -> ChatChoice:
    message: AssistantMessage = {
        "role": "assistant",
        "content": reply.content if reply.content or not reply.tool_calls else None,
        "refusal": None,
    }
    if reply.reasoning:
        message["reasoning"] = message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = [call.to_openai() for call in reply.tool_calls]
    return {
        "index": index,
        "message": message,
        "logprobs": None if reply.logprobs is None else {"content": map(logprob_json, reply.logprobs), "refusal": None},
        "finish_reason": reply.finish_reason,
    }


def _delta(delta: Delta) -> AssistantDelta:
    data: AssistantDelta = {}
    if delta.content:
        data["content"] = delta.content
    if delta.reasoning:
        data["reasoning"] = data["reasoning_content"] = delta.reasoning
    if delta.tool_calls:
        data["tool_calls"] = [
            {
                "index": call.index,
                **({"id": call.id, "type": "function"} if call.id is not None else {}),
                "function": {
                    **({"name": call.name} if call.name is not None else {}),
                    "arguments": call.arguments,
                },
            }
            for call in delta.tool_calls
        ]
    return data


def _logprobs(tokens: Sequence[TokenLogprob] | None) -> ChatLogprobs | None:
    return None if tokens is None else {"content": [logprob_json(item) for item in tokens], "refusal": None}


def logprob_json(item: TokenLogprob) -> ChatLogprob:
    return {
        "token": item.token,
        "logprob": item.logprob,
        "bytes": list(item.bytes or item.token.encode()),
        "top_logprobs": [
            {"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in item.top
        ],
    }


def _timings(timings: Timings) -> dict[str, float | bool]:
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(timings).items()}
