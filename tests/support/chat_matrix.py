"""Conversations of every shape, and what `transformers` makes of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

__all__ = ["ARGUMENTS", "CONVERSATIONS", "SYSTEM", "WEATHER", "call", "cases", "expected_prompts", "reference"]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The <name> of the city & country."}},
            "required": ["city"],
        },
    },
}


def call(name: str, identifier: str, arguments: Any) -> dict[str, Any]:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


SYSTEM = {"role": "system", "content": "You are terse. Ä €"}
ASK = {"role": "user", "content": "How is the weather in Paris?"}
CALLS = {"role": "assistant", "content": None, "tool_calls": [call("get_weather", "abcdefghi", {"city": "Paris"})]}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "abcdefghi", "content": '{"celsius": 18}'}
ANSWER = {"role": "assistant", "content": "18 degrees."}
THOUGHT = {"role": "assistant", "content": "18 degrees.", "reasoning_content": "The tool said 18."}
THANKS = {"role": "user", "content": "Thanks! And in Rome?"}

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one question": [ASK],
    "several turns": [ASK, ANSWER, THANKS],
    "a call without its result": [ASK, CALLS],
    "a tool result": [ASK, CALLS, RESULT],
    "an answer from a tool result": [ASK, CALLS, RESULT, ANSWER, THANKS],
    "thoughts in the history": [ASK, THOUGHT, THANKS],
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "as the template says": {},
    "thinking on": {"enable_thinking": True, "thinking": True},
    "thinking off": {"enable_thinking": False, "thinking": False},
}


@cache
def reference(template: str) -> Callable[..., str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers.utils.chat_template_utils import render_jinja_template

    def render(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, **arguments: Any) -> str:
        rendered, _ = render_jinja_template(
            [messages], tools=tools, chat_template=template, bos_token="<BOS>", eos_token="<EOS>", **arguments
        )
        return str(rendered[0])

    return render


def cases() -> Iterator[tuple[str, bool, bool, bool, dict[str, Any]]]:
    yield from itertools.product(CONVERSATIONS, (False, True), (False, True), (False, True), ARGUMENTS.values())


FIELDS = ("reasoning_content", "reasoning", "thinking", "thought")


def variants(messages: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The conversation as given, and as users of Hugging Face must write it where a template fails on that."""
    for content, as_text, field in itertools.product((None, ""), (False, True), (*FIELDS, "parts")):
        if field != FIELDS[0] and not any("reasoning_content" in message for message in messages):
            continue
        yield [varied(message, content, as_text, field) for message in messages]


def varied(message: dict[str, Any], content: str | None, as_text: bool, field: str = FIELDS[0]) -> dict[str, Any]:
    if (thought := message.get("reasoning_content")) is not None:
        rest = {key: value for key, value in message.items() if key != "reasoning_content"}
        if field != "parts":
            return {**rest, field: thought}
        said = [{"type": "text", "text": message["content"]}]
        return {**rest, "content": [{"type": "thinking", "thinking": thought}, *said]}
    if "tool_calls" not in message:
        return message
    arguments: Any = {"city": "Paris"}
    if as_text:
        arguments = json.dumps(arguments)
    return {**message, "content": content, "tool_calls": [call("get_weather", "abcdefghi", arguments)]}


def expected_prompts(template: str, messages: list[dict[str, Any]], **options: Any) -> list[str]:
    """What `transformers` makes of each variant that it can render at all."""
    found = []
    for variant in variants(messages):
        with contextlib.suppress(Exception):
            found.append(reference(template)(variant, **options))
    return found
