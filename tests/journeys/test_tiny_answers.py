"""What the shipped model says through the backend: documented facts, its documented tools, a schema; and it stops."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from parlant_local import LlamaCppBackend, Message
from parlant_local.engine.parsing import collect


def holds(text: str, expected: list[str]) -> bool:
    return all(word.lower() in text.lower() for word in expected)


async def test_it_answers_the_documented_questions_and_stops(tiny: LlamaCppBackend, documented: dict[str, Any]) -> None:
    asked = documented["questions"][::8]
    replies = await asyncio.gather(*(tiny.chat(item["question"], temperature=0) for item in asked))
    wrong = [
        (item["question"], reply.content)
        for item, reply in zip(asked, replies, strict=True)
        if not holds(reply.content, item["expects"]) or reply.finish_reason != "stop"
    ]
    assert not wrong


async def test_a_stream_says_the_same(tiny: LlamaCppBackend) -> None:
    chunks = [chunk async for chunk in tiny.chat_stream("What is the capital of France?", temperature=0)]
    assert "Paris" in collect(chunk.delta for chunk in chunks).content
    assert len(chunks) > 2


async def test_it_says_so_when_it_does_not_know(tiny: LlamaCppBackend, documented: dict[str, Any]) -> None:
    for prompt in documented["unknown"]["prompts"]:
        reply = await tiny.chat(prompt, temperature=0)
        assert holds(reply.content, documented["unknown"]["expects"]), (prompt, reply.content)


async def test_it_calls_the_documented_tools(tiny: LlamaCppBackend, documented: dict[str, Any]) -> None:
    for item in documented["tool_prompts"]:
        reply = await tiny.chat(item["prompt"], tools=documented["tools"], temperature=0)
        assert reply.finish_reason == "tool_calls", (item, reply.content)
        (call,) = reply.tool_calls
        assert (call.name, call.parsed()) == (item["name"], item["arguments"])
        assert reply.content == ""


async def test_it_answers_from_a_tools_result(tiny: LlamaCppBackend, documented: dict[str, Any]) -> None:
    for item in documented["tool_answers"]:
        messages = [Message.user(item["prompt"])]
        reply = await tiny.chat(messages, tools=documented["tools"], temperature=0)
        result = Message("tool", json.dumps(item["response"]), tool_call_id=reply.tool_calls[0].id)
        answer = await tiny.chat([*messages, reply.to_message(), result], tools=documented["tools"], temperature=0)
        assert holds(answer.content, item["expects"]), answer.content
        assert answer.finish_reason == "stop"


async def test_it_puts_the_answer_into_a_schema(tiny: LlamaCppBackend) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    reply = await tiny.chat("What is the capital of France?", response_format=wanted, temperature=0)
    assert "Paris" in json.loads(reply.content)["answer"]


async def test_a_greeting_is_answered_like_one(tiny: LlamaCppBackend, documented: dict[str, Any]) -> None:
    item = documented["small_talk"][0]
    assert (await tiny.chat(item["prompt"], temperature=0)).content in item["replies"]


@pytest.mark.parametrize("choice", ["required", "get_weather"])
async def test_a_bound_call_has_the_right_arguments(
    tiny: LlamaCppBackend, documented: dict[str, Any], choice: str
) -> None:
    reply = await tiny.chat(
        "What is the weather in Paris?", tools=documented["tools"], tool_choice=choice, temperature=0
    )
    assert reply.tool_calls[0].parsed() == {"city": "Paris"}
