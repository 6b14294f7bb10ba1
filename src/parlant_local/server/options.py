"""From a request to the options of a backend's call, with the owner's limits applied."""

from __future__ import annotations

import hashlib
from typing import Any

from parlant_local.backends.base import ChatOptions
from parlant_local.errors import BadRequestError
from parlant_local.messages import Message
from parlant_local.server.problems import Refused
from parlant_local.server.shapes.chat import ChatMessage, ChatRequest, Sampling
from parlant_local.settings import LimitSettings

__all__ = ["chat_options", "check_texts", "messages_of", "sampling_options"]

_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty", "seed",
    "stop", "n", "grammar", "priority",
)  # fmt: skip
_EFFORTS = {"minimal": 128, "low": 512, "medium": 2048, "high": 8192, "xhigh": 16384, "max": 32768}


def messages_of(given: list[ChatMessage], limits: LimitSettings) -> tuple[Message, ...]:
    """Raises :class:`BadRequestError`, and :class:`Refused` where one is too long."""
    messages = tuple(Message.from_openai(item.model_dump(exclude_none=True)) for item in given)
    check_texts([message.content or "" for message in messages], limits, "messages")
    return messages


def check_texts(texts: list[str], limits: LimitSettings, param: str) -> None:
    for index, text in enumerate(texts):
        if len(text) > limits.message_characters:
            raise Refused(
                400,
                f"{param}[{index}] has {len(text)} characters; {limits.message_characters} are allowed "
                "(limits.message_characters).",
                code="text_too_long",
                param=param,
            )


def sampling_options(request: Sampling, limits: LimitSettings) -> ChatOptions:
    found: dict[str, Any] = {name: getattr(request, name) for name in _SAMPLING}
    if request.user:  # whose it is matters, not how long the name is
        found["session"] = hashlib.blake2b(request.user.encode(), digest_size=16).hexdigest()
    found["max_tokens"] = _max_tokens(request, limits)
    if request.n is not None and request.n > limits.choices:
        raise Refused(400, f"n may be {limits.choices} at most (limits.choices).", code="too_many_choices", param="n")
    if request.logit_bias:
        found["logit_bias"] = _logit_bias(request.logit_bias)
    return _given(found)


def chat_options(request: ChatRequest, limits: LimitSettings) -> ChatOptions:
    found: dict[str, Any] = dict(sampling_options(request, limits))
    if request.logprobs:
        found["logprobs"] = request.top_logprobs or 0
    elif request.top_logprobs:
        raise Refused(400, "top_logprobs needs logprobs.", code="bad_request", param="top_logprobs")
    if request.response_format is not None:
        found["response_format"] = request.response_format.model_dump(by_alias=True, exclude_none=True)
    if request.tools:
        found["tools"] = [tool.model_dump(exclude_none=True) for tool in request.tools]
    choice = request.tool_choice
    if choice is not None and (request.tools or choice != "auto"):
        found["tool_choice"] = choice if isinstance(choice, str) else choice.function.name
    found["parallel_tool_calls"] = request.parallel_tool_calls
    return _given(found | _reasoning(request))


def _reasoning(request: ChatRequest) -> dict[str, Any]:
    """The many ways in which clients ask for thoughts, the most exact one first."""
    asked = request.reasoning
    if asked is not None and asked.max_tokens is not None:
        return {"reasoning": "on" if asked.max_tokens else "off", "reasoning_tokens": asked.max_tokens}
    effort = asked.effort if asked is not None and asked.effort is not None else request.reasoning_effort
    if effort == "none" or (asked is not None and asked.enabled is False):
        return {"reasoning": "off"}
    if effort is not None:
        return {"reasoning": "on", "reasoning_tokens": _EFFORTS[effort]}
    if asked is not None and asked.enabled:
        return {"reasoning": "on"}
    thinking = (request.chat_template_kwargs or {}).get("enable_thinking")
    if isinstance(thinking, bool):
        return {"reasoning": "on" if thinking else "off"}
    return {}


def _max_tokens(request: Sampling, limits: LimitSettings) -> int | None:
    asked: int | None = getattr(request, "max_completion_tokens", None) or request.max_tokens
    if limits.max_tokens is not None and asked is not None and asked > limits.max_tokens:
        raise Refused(
            400,
            f"max_tokens is {asked}; this server gives {limits.max_tokens} at most (limits.max_tokens).",
            code="max_tokens_too_large",
            param="max_tokens",
        )
    return asked or limits.max_tokens


def _logit_bias(given: dict[str, float]) -> dict[int, float]:
    try:
        found = {int(token): bias for token, bias in given.items()}
    except ValueError:
        raise BadRequestError("logit_bias maps token ids to numbers.") from None
    if any(not -100 <= bias <= 100 for bias in found.values()):
        raise BadRequestError("A bias in logit_bias must be between -100 and 100.")
    return found


def _given(options: dict[str, Any]) -> ChatOptions:
    given: Any = {name: value for name, value in options.items() if value is not None}
    return given  # type: ignore[no-any-return]  # a TypedDict made of checked parts
