"""Rules that no decoder can be bound to: the answer is checked, asked for once more, and refused by place and rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parlant_local import LlamaCppBackend
from parlant_local.backends.retry_budget import RetryBudget, use_retry_budget
from parlant_local.errors import InvalidOutputError
from parlant_local.messages import ResponseFormat

_IMPOSSIBLE = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 10**7, "maximum": 10**8, "multipleOf": 9999991}},
    "required": ["n"],
}
"""For this model: it copies numbers, and multiplies none."""


def _without(value: bool) -> dict[str, Any]:
    flag = {"type": "object", "properties": {"flag": {"type": "boolean"}}, "required": ["flag"]}
    return {**flag, "not": {"properties": {"flag": {"const": value}}}}


async def test_an_invalid_answer_is_requested_once_more_and_then_refused(tiny: LlamaCppBackend) -> None:
    with pytest.raises(InvalidOutputError, match=r"at \$\.n the rule 'multipleOf' is broken") as refused:
        await tiny.chat("A number, please.", response_format=ResponseFormat.json_schema(_IMPOSSIBLE), temperature=0)
    assert tiny.engine.stats().finished == 2
    assert refused.value.usage.completion_tokens > 0


async def test_a_caller_that_counts_attempts_may_forbid_the_second_one(tiny: LlamaCppBackend) -> None:
    with use_retry_budget(RetryBudget(0)), pytest.raises(InvalidOutputError):
        await tiny.chat("A number, please.", response_format=ResponseFormat.json_schema(_IMPOSSIBLE), temperature=0)
    assert tiny.engine.stats().finished == 1


async def test_the_second_answer_may_be_right(tiny: LlamaCppBackend) -> None:
    await tiny.load()
    mended = 0
    for seed in range(8):
        done = tiny.engine.stats().finished
        options: Any = {"temperature": 1.5, "seed": seed, "response_format": ResponseFormat.json_schema(_without(True))}
        try:
            reply = await tiny.chat("Yes or no?", **options)
        except InvalidOutputError:
            continue
        assert json.loads(reply.content) == {"flag": False}
        if tiny.engine.stats().finished - done == 2:
            mended += 1
            assert reply.usage.prompt_tokens > 60  # both prompts, the second one with what was wrong
    assert mended


async def test_a_stream_ends_with_the_error_instead_of_its_last_chunk(tiny: LlamaCppBackend) -> None:
    said: list[str] = []

    async def listen() -> None:
        wanted = ResponseFormat.json_schema(_IMPOSSIBLE)
        async for chunk in tiny.chat_stream("A number, please.", response_format=wanted, temperature=0):
            said.append(chunk.delta.content)
            assert chunk.finish_reason is None

    with pytest.raises(InvalidOutputError, match="multipleOf"):
        await listen()
    assert isinstance(json.loads("".join(said))["n"], int)


async def test_arguments_of_a_call_are_checked_too(tiny: LlamaCppBackend) -> None:
    tool = {"type": "function", "function": {"name": "count", "description": "Counts.", "parameters": _IMPOSSIBLE}}
    with pytest.raises(InvalidOutputError, match=r"the arguments of 'count' do not match its parameters: at \$\.n"):
        await tiny.chat("Count.", tools=[tool], tool_choice="required", temperature=0)


async def test_what_was_bound_is_not_asked_for_again(tiny: LlamaCppBackend) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"enum": [1, 2]}},
        "required": ["n"],
        "unevaluatedProperties": False,
    }
    reply = await tiny.chat("A number, please.", response_format=ResponseFormat.json_schema(schema), temperature=0)
    assert json.loads(reply.content)["n"] in (1, 2)
    assert tiny.engine.stats().finished == 1


async def test_a_tool_without_parameters_takes_none(tiny: LlamaCppBackend) -> None:
    for parameters in (
        {},
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"allOf": [{"type": "object"}]},
        {"$ref": "#/$defs/Nothing", "$defs": {"Nothing": {"type": "object", "properties": {}}}},
    ):
        tool = {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": parameters}}
        reply = await tiny.chat("What time is it?", tools=[tool], tool_choice="required", temperature=1.2, seed=3)
        assert json.loads(reply.tool_calls[0].arguments) == {}


async def test_a_call_that_can_not_end_in_time_is_dropped_entirely(
    tiny: LlamaCppBackend,
) -> None:
    parameters = {"type": "object", "properties": {"text": {"type": "string", "minLength": 40}}, "required": ["text"]}
    tool = {"type": "function", "function": {"name": "write", "description": "Writes.", "parameters": parameters}}
    for room in (1, 3, 6, 9, 14):
        reply = await tiny.chat("Write.", tools=[tool], tool_choice="required", max_tokens=room)
        assert (reply.content, reply.tool_calls, reply.finish_reason) == ("", (), "length")
        assert "cut off" in reply.warnings[-1]


async def test_a_call_with_few_tokens_left_is_closed_early(tiny: LlamaCppBackend) -> None:
    parameters = {"type": "object", "properties": {"text": {"type": "string", "minLength": 9}}, "required": ["text"]}
    tool = {"type": "function", "function": {"name": "write", "description": "Writes.", "parameters": parameters}}
    reply = await tiny.chat("Write.", tools=[tool], tool_choice="required", max_tokens=70, temperature=2.0, seed=1)
    assert reply.finish_reason == "tool_calls"
    assert len(reply.tool_calls[0].parsed()["text"]) >= 9
