"""Responses of endpoints, in every known dialect of OpenAI's chat API, parsed into our types.

Everything here takes the JSON as it came. Whatever is absent counts as nothing; what has the wrong shape is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parlant_local.backends.thoughts import Habit, without_thoughts
from parlant_local.messages import ChatReply, FinishReason, TokenLogprob, ToolCall, Usage, json_value, whole_text

__all__ = [
    "Parts",
    "abort_reason",
    "calls_of",
    "choices_of",
    "completion_of",
    "error_of",
    "finish_of",
    "logprobs_of",
    "name_and_arguments",
    "new_id",
    "parts_of",
    "plain_arguments",
    "reply_of",
    "text_of",
    "usage_of",
]

_WORDS: Mapping[FinishReason, str] = {
    "stop": "stop eos eos_token end_turn stop_sequence stop_string stop_token complete completed finished finish done normal",
    "length": "length max_tokens max_output_tokens max_new_tokens max_length model_length token_limit max_completion_tokens "
    "model_context_window_exceeded context_length_exceeded context_length error_limit length_limit max_tokens_reached "
    "truncated incomplete",
    "tool_calls": "tool_calls tool_call tool_use function_call function_calls",
    "content_filter": "content_filter content_filtered safety recitation prohibited_content blocklist spii refusal sensitive "
    "guardrail_intervened error_toxic image_safety blocked moderation",
}
_FINISH: Mapping[str, FinishReason] = {word: reason for reason, words in _WORDS.items() for word in words.split()}
_ABORT_REASONS = frozenset(
    "error abort aborted cancelled canceled insufficient_system_resource network_error malformed_function_call".split()
)
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TEXT = frozenset({"text", "output_text", "input_text", "text_delta"})
_THOUGHT = frozenset({"thinking", "reasoning", "reasoning_text", "reasoning_content", "thought", "summary_text", "thinking_delta", "reasoning.text", "reasoning.summary"})  # fmt: skip
_THOUGHT_KEYS = (
    "reasoning_content",
    "reasoning",
    "thinking",
    "thoughts",
    "thinking_content",
    "reasoning_text",
    "reasoning_summary",
    "thought",
    "reasoning_details",
    "thinking_blocks",
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What one message, or one piece of it, holds."""

    text: str = ""
    thoughts: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()
    """As they came."""


def error_of(data: Any) -> tuple[int, str] | None:
    """The HTTP status that an error inside a body claims (0: none) and its words; ``None`` where there is no error."""
    if isinstance(data, list) and len(data) == 1 and isinstance(data[0], Mapping) and "error" in data[0]:
        data = data[0]  # Gemini's
    if not isinstance(data, Mapping):
        return None
    error = data.get("error") or data.get("errors")
    if not error and not data.get("choices") and (data.get("object") == "error" or data.get("type") == "error"):
        error = data
    if not error and "choices" not in data:
        told = (
            data.get(key) for key in ("message", "msg", "error_msg") if data.keys() & {"code", "status", "error_code"}
        )
        error = data.get("detail") or next(filter(None, told), None)
    base = data.get("base_resp")  # MiniMax's, in every answer
    if not error and not data.get("choices") and isinstance(base, Mapping):
        error = base if base.get("status_code") else None
    if not error:
        return None
    holders = [
        item for item in (error[:1] if isinstance(error, list) else [error]) + [data] if isinstance(item, Mapping)
    ]
    claimed = (value for holder in holders for key in ("code", "status", "status_code") if (value := holder.get(key)))
    status = next((int(value) for value in claimed if str(value).isdigit() and 300 <= int(value) < 600), 0)
    return status, error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)


def choices_of(data: Any) -> list[Mapping[str, Any]]:
    choices = data.get("choices") if isinstance(data, Mapping) else None
    found = [choice for choice in choices if isinstance(choice, Mapping)] if isinstance(choices, list) else []
    numbers = [choice.get("index") for choice in found]
    # Whoever answers several times may list what was ready first.
    ordered = all(type(number) is int for number in numbers)
    return [found[at] for at in sorted(range(len(found)), key=lambda at: numbers[at])] if ordered else found  # type: ignore[arg-type, return-value]  # all of them whole


def parts_of(message: Any) -> Parts:
    """Of a message or a delta; tags in its text are not looked at."""
    if not isinstance(message, Mapping):
        return Parts(_string(message))
    found = _content(
        message["parts"] if message.get("content") is None and "parts" in message else message.get("content")
    )
    if _marked_as_thought(message):  # Gemini's
        found = Parts("", found.thoughts + found.text, found.calls)
    text = found.text or _string(message.get("refusal"))
    beside = message.get("provider_specific_fields")  # LiteLLM's
    holders = (message, beside if isinstance(beside, Mapping) else {})
    candidates = (_thoughts(holder.get(key)) for holder in holders for key in _THOUGHT_KEYS)
    thoughts = found.thoughts or next(filter(None, candidates), "")
    calls = _calls(message.get("tool_calls"))
    if isinstance(legacy := message.get("function_call"), Mapping):
        calls.append({"function": legacy})
    return Parts(text, thoughts, (*found.calls, *calls))


def text_of(value: Any) -> str:
    """Text that came as what it says: some endpoints read an answer that is JSON, and send the value."""
    if isinstance(value, str) or value is None:
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def calls_of(calls: Iterable[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    """Whole calls: arguments as objects become JSON text, missing ids are generated."""
    made: list[ToolCall] = []
    for call in calls:
        name, arguments = name_and_arguments(call)
        if name:
            made.append(ToolCall(new_id(call.get("id"), [one.id for one in made]), name, plain_arguments(arguments)))
    return tuple(made)


def new_id(given: Any, taken: Sequence[str]) -> str:
    """An id of a call that no other one has: results are told apart by it."""
    identity = _string(given)
    return identity if identity and identity not in taken else f"call_{len(taken)}"


def plain_arguments(text: str) -> str:
    """JSON in JSON is taken out, and nothing means none."""
    try:
        inner = json_value(text or "null")
        if isinstance(inner, str) and isinstance(json_value(inner), Mapping):
            return inner
    except ValueError:
        return text
    return "{}" if inner is None else text


def name_and_arguments(call: Mapping[str, Any]) -> tuple[str, str]:
    """Empty where absent; the function object may be nested or flat."""
    function = call.get("function")
    holder = function if isinstance(function, Mapping) else call
    name = holder.get("name") or (function if isinstance(function, str) else "")
    arguments = next(
        (value for key in ("arguments", "parameters", "input", "args") if (value := holder.get(key)) is not None), ""
    )
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return whole_text(_string(name)), whole_text(text)


def finish_of(value: Any) -> FinishReason | None:
    """Unknown values count as a normal end."""
    if isinstance(value, Mapping):  # {"type": "stop", …}
        value = value.get("type")
    if not isinstance(value, str) or not value:
        return None
    return _FINISH.get(_word(value), "stop")


def _word(reason: str) -> str:
    """A reason as most spell it: ``max_tokens`` for ``maxTokens``, ``max-tokens`` and ``FinishReason.MAX_TOKENS``."""
    last = _INNER_CAPITAL.sub("_", reason.strip().rpartition(".")[2])
    return re.sub(r"[\s-]+", "_", last).lower().removeprefix("finish_reason_")


def abort_reason(data: Any) -> str | None:
    """A reason that says that an answer is not whole, through no limit of the caller's."""
    reasons = (_word(str(choice.get("finish_reason"))) for choice in choices_of(data))
    return next((reason for reason in reasons if reason in _ABORT_REASONS), None)


def usage_of(data: Any) -> Usage:
    """Of a body or an event; local servers leave parts of it out."""
    if not isinstance(data, Mapping):
        return Usage()
    groq = data.get("x_groq")
    usage = data.get("usage") or (groq.get("usage") if isinstance(groq, Mapping) else None)
    if not isinstance(usage, Mapping):
        timings = data.get("timings")  # llama-server's own
        if not isinstance(timings, Mapping):
            return Usage()
        return Usage(_count(timings, "prompt_n") + _count(timings, "cache_n"), _count(timings, "predicted_n"), _count(timings, "cache_n"))  # fmt: skip
    prompt = _count(usage, "prompt_tokens", "input_tokens")
    completion = _count(usage, "completion_tokens", "output_tokens") or max(0, _count(usage, "total_tokens") - prompt)
    before = _details(usage, "prompt_tokens_details", "input_tokens_details")
    after = _details(usage, "completion_tokens_details", "output_tokens_details")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=_count(before, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens", "cached_tokens"),
        reasoning_tokens=_count(after, "reasoning_tokens") or _count(usage, "reasoning_tokens"),
    )


def reply_of(data: Any, model: str, habit: Habit | None = None) -> ChatReply:
    """A whole chat answer; ``habit`` learns from it. Raises ``ValueError`` where it has no choices."""
    if not (choices := choices_of(data)):
        raise ValueError("no choices")
    replies = [_choice(choice, model, habit) for choice in choices]
    return replace(replies[0], usage=usage_of(data), alternatives=tuple(replies[1:]))


def completion_of(data: Any, model: str) -> ChatReply:
    """A whole text completion."""
    if not (choices := choices_of(data)):
        raise ValueError("no choices")
    replies = [
        ChatReply(
            whole_text(text_of(item.get("text"))),
            finish_reason=finish_of(item.get("finish_reason")) or "stop",
            model=model,
        )
        for item in choices
    ]
    return replace(replies[0], usage=usage_of(data), alternatives=tuple(replies[1:]))


def logprobs_of(choice: Mapping[str, Any]) -> tuple[TokenLogprob, ...] | None:
    found = choice.get("logprobs")
    content = found.get("content") if isinstance(found, Mapping) else None
    if not isinstance(content, list):
        return None
    return tuple(_logprob(item) for item in content if isinstance(item, Mapping))


def _choice(choice: Mapping[str, Any], model: str, habit: Habit | None) -> ChatReply:
    message = choice.get("message")
    found = parts_of(message if isinstance(message, Mapping | str) else choice.get("delta"))
    text, thoughts = whole_text(found.text or text_of(choice.get("text"))), whole_text(found.thoughts)
    if not thoughts and text:
        text, thoughts = without_thoughts(text, habit)
    calls = calls_of(found.calls)
    finish = finish_of(choice.get("finish_reason")) or "stop"
    return ChatReply(
        content=text,
        reasoning=thoughts,
        tool_calls=calls,
        finish_reason="tool_calls" if calls and finish == "stop" else finish,
        model=model,
        logprobs=logprobs_of(choice),
    )


def _calls(given: Any) -> list[Mapping[str, Any]]:
    """A list of calls, one alone, or calls by their numbers."""
    if isinstance(given, Mapping):
        given = [given] if given.keys() & {"function", "name"} else list(given.values())
    return [call for call in _list(given) if isinstance(call, Mapping)]


def _marked_as_thought(message: Mapping[str, Any]) -> bool:
    extra = message.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    return isinstance(google, Mapping) and google.get("thought") is True


def _content(content: Any) -> Parts:
    if isinstance(content, Mapping) and content.keys() & {"type", "text"}:
        content = [content]
    if not isinstance(content, list) or (content and not any(isinstance(part, str | Mapping) for part in content)):
        return Parts(text_of(content))
    text, thoughts, calls = "", "", []
    for part in _list(content):
        if isinstance(part, str):
            text += part
        elif isinstance(part, Mapping):
            kind = part.get("type") if isinstance(part.get("type"), str) else None
            if kind in _THOUGHT:
                thoughts += _thoughts(part)
            elif kind in ("tool_use", "tool_call", "function_call"):
                calls.append(part)
            elif kind in _TEXT or (kind is None and "text" in part):
                found = part.get("text")
                text += _string(found.get("value") if isinstance(found, Mapping) else found)
            elif kind == "refusal":
                text += _string(part.get("refusal"))
    return Parts(text, thoughts, tuple(calls))


def _thoughts(value: Any) -> str:
    """Thoughts come as text, as a part, or as a list of parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        keys = ("text", "thinking", "reasoning", "reasoning_content", "thought", "content", "summary")
        return next((found for key in keys if (found := _thoughts(value.get(key)))), "")
    return "".join(_thoughts(item) for item in _list(value))


def _logprob(item: Mapping[str, Any]) -> TokenLogprob:
    others = [other for other in _list(item.get("top_logprobs")) if isinstance(other, Mapping)]
    return TokenLogprob(
        token=_string(item.get("token")),
        logprob=float(item.get("logprob") or 0.0),
        bytes=tuple(item.get("bytes") or ()),
        top=tuple((_string(other.get("token")), float(other.get("logprob") or 0.0)) for other in others),
    )


def _details(usage: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    return next((value for key in keys if isinstance(value := usage.get(key), Mapping)), {})


def _count(holder: Mapping[str, Any], *keys: str) -> int:
    for key in keys:
        value = holder.get(key)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value[:18])
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return int(value)
    return 0


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
