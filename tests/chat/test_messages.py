"""Messages and tools from strangers: what can't be read is a sentence, never a crash."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.errors import BadRequestError
from parlant_local.messages import Message, Tool, ToolCall, as_messages, as_tools

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "tool_calls", "function", "name", "arguments", "type", "text", "id", "parameters"]), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    "messages",
    [
        ["x"],
        [{"role": "user", "tool_calls": ["x"]}],
        [{"role": "assistant", "tool_calls": {"a": 1}}],
        [{"role": "assistant", "tool_calls": "x"}],
        [{"content": "x"}],
        [{"role": "user", "content": {"a": 1}}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
        [],
    ],
)
def test_what_is_no_conversation_is_a_bad_request(messages: Any) -> None:
    with pytest.raises(BadRequestError):
        as_messages(messages)


@given(value=JSON, parameter=JSON)
@settings(max_examples=300, deadline=None)
def test_any_json_is_read_or_refused(value: Any, parameter: Any) -> None:
    for read, data in (
        (as_messages, value),
        (as_messages, [{"role": "user", "content": parameter}]),
        (as_tools, [value]),
    ):
        if data is None or isinstance(data, bool | int):
            continue  # a number where a list belongs is a programming error; within a list everything is data
        with contextlib.suppress(BadRequestError):
            read(data)


def test_openais_shapes_survive_the_round_trip() -> None:
    message = Message("assistant", None, tool_calls=(ToolCall("a", "f", '{"x": 1}'),), reasoning="because", name="bot")
    assert Message.from_openai(message.to_openai()) == message
    tool = Tool("f", "Does f.", {"type": "object", "properties": {}})
    assert Tool.from_openai(tool.to_openai()) == tool


def test_arguments_may_come_as_an_object() -> None:
    call = ToolCall.from_openai({"id": "a", "function": {"name": "f", "arguments": {"x": "é"}}})
    assert call.arguments == '{"x": "é"}'
