"""Messages and tools from strangers: what can't be read is a sentence, never a crash."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.backends.base import ChatParams
from parlant_local.errors import BadRequestError
from parlant_local.messages import (
    ChatReply,
    Delta,
    Message,
    ResponseFormat,
    Tool,
    ToolCall,
    as_messages,
    as_tools,
    whole_text,
)

KINDS = st.sampled_from(
    [
        "assistant",
        "tool",
        "user",
        "tool-f",
        "tool-invocation",
        "dynamic-tool",
        "step-start",
        "error",
        "text",
        "tool_use",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "tool_calls", "function", "name", "arguments", "type", "text", "id", "parameters", "parts",
                         "toolInvocations", "toolInvocation", "functionCall", "functionResponse", "tool_call_id", "toolCallId",
                         "output", "response", "errorText", "thought", "provider_specific_fields"]), inner, max_size=4
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


CALL = ToolCall("c1", "get_weather", '{"city": "Paris"}')


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        # OpenAI
        ({"role": "developer", "content": "x"}, [Message("system", "x")]),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}]}, [Message("user", "ab")]),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "I can't."}]}, [Message("assistant", "I can't.")]),
        ({"role": "assistant", "content": None, "refusal": "I can't.", "audio": None, "annotations": []}, [Message("assistant", "I can't.")]),
        ({"role": "assistant", "content": "", "function_call": {"name": "get_weather", "arguments": '{"city": "Paris"}'}},
         [Message("assistant", "", tool_calls=(ToolCall("", "get_weather", '{"city": "Paris"}'),))]),
        ({"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city": "Paris"}'}, [Message("assistant", "", tool_calls=(CALL,))]),
        ({"type": "function_call_output", "call_id": "c1", "output": "sunny"}, [Message("tool", "sunny", tool_call_id="c1")]),
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "why"}]}, [Message("assistant", "", reasoning="why")]),
        ({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}, [Message("user", "x")]),
        # Anthropic
        ({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "s"},
            {"type": "text", "text": "Let me see.", "cache_control": {"type": "ephemeral"}},
            {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Paris"}}]},
         [Message("assistant", "Let me see.", tool_calls=(CALL,), reasoning="hm")]),
        ({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "sunny"}]},
            {"type": "tool_result", "tool_use_id": "c2", "content": "no such city", "is_error": True}, {"type": "text", "text": "And now?"}]},
         [Message("tool", "sunny", tool_call_id="c1"), Message("tool", "Error: no such city", tool_call_id="c2"), Message("user", "And now?")]),
        # LangChain: its wire form, its stored form, and its content blocks
        ({"type": "human", "content": "x", "additional_kwargs": {}}, [Message("user", "x")]),
        ({"type": "ai", "data": {"content": "x", "tool_calls": [{"name": "get_weather", "args": {"city": "Paris"}, "id": "c1", "type": "tool_call"}]}},
         [Message("assistant", "x", tool_calls=(CALL,))]),
        ({"role": "assistant", "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "tool_call", "id": "c1", "name": "get_weather", "args": {"city": "Paris"}}],
          "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}]},
         [Message("assistant", "", tool_calls=(CALL,), reasoning="hm")]),
        ({"role": "assistant", "content": "", "additional_kwargs": {"reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}]}},
         [Message("assistant", "", tool_calls=(CALL,), reasoning="hm")]),
        ({"type": "ai", "content": "", "tool_calls": [{"name": "get_weather", "args": {"city": "Paris"}, "id": "c1"}], "additional_kwargs": {
            "function_call": {"name": "get_weather", "arguments": "{}"}, "tool_calls": [{"id": "c1", "function": {"name": "get_weather", "arguments": "{}"}}]}},
         [Message("assistant", "", tool_calls=(CALL,))]),
        ({"type": "HumanMessageChunk", "content": "x"}, [Message("user", "x")]),
        ({"type": "AIMessage", "content": "x"}, [Message("assistant", "x")]),
        ({"type": "SystemMessage", "content": "x"}, [Message("system", "x")]),
        ({"type": "ToolMessageChunk", "content": "sunny", "tool_call_id": "c1"}, [Message("tool", "sunny", tool_call_id="c1")]),
        ({"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {"content": "x"}}, [Message("user", "x")]),
        ({"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"], "kwargs": {"content": "x", "type": "ai"}},
         [Message("assistant", "x")]),
        # LiteLLM, OpenRouter, Ollama, Mistral
        ({"role": "assistant", "content": "x", "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": ""}]}, [Message("assistant", "x", reasoning="hm")]),
        ({"role": "assistant", "content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}, {"type": "reasoning.encrypted", "data": "?"}]},
         [Message("assistant", "x", reasoning="hm")]),
        ({"role": "assistant", "content": "x", "thinking": "hm", "images": []}, [Message("assistant", "x", reasoning="hm")]),
        ({"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "x"}]},
         [Message("assistant", "x", reasoning="hm")]),
        # LibreChat, and the AI SDK
        ({"role": "assistant", "content": [{"type": "think", "think": "hm"}, {"type": "text", "text": {"value": "x"}},
            {"type": "tool_call", "tool_call": {"id": "c1", "name": "get_weather", "args": '{"city": "Paris"}', "output": "sunny"}}]},
         [Message("assistant", "x", tool_calls=(CALL,), reasoning="hm"), Message("tool", "sunny", name="get_weather", tool_call_id="c1")]),
        ({"role": "user", "parts": [{"type": "text", "text": "x"}]}, [Message("user", "x")]),
        ({"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "toolName": "get_weather", "output": {"type": "text", "value": "sunny"}}]},
         [Message("tool", "sunny", name="get_weather", tool_call_id="c1")]),
        ({"role": "assistant", "parts": [
            {"type": "step-start"}, {"type": "reasoning", "text": "hm", "state": "done"}, {"type": "text", "text": "I look."},
            {"type": "tool-get_weather", "toolCallId": "c1", "state": "output-available", "input": {"city": "Paris"}, "output": {"degrees": 20}},
            {"type": "step-start"}, {"type": "text", "text": "Warm.", "state": "done"}, {"type": "source-url", "sourceId": "s", "url": "http://x"}]},
         [Message("assistant", "I look.", tool_calls=(CALL,), reasoning="hm"), Message("tool", '{"degrees": 20}', tool_call_id="c1", name="get_weather"), Message("assistant", "Warm.")]),
        ({"role": "assistant", "parts": [{"type": "dynamic-tool", "toolName": "get_weather", "toolCallId": "c1", "state": "output-error", "input": {"city": "Paris"}, "errorText": "no such city"}]},
         [Message("assistant", "", tool_calls=(CALL,)), Message("tool", "Error: no such city", tool_call_id="c1", name="get_weather")]),
        ({"role": "assistant", "content": "Warm.", "parts": [
            {"type": "tool-invocation", "toolInvocation": {"state": "result", "step": 0, "toolCallId": "c1", "toolName": "get_weather", "args": {"city": "Paris"}, "result": "sunny"}},
            {"type": "text", "text": "Warm."}]},
         [Message("assistant", "", tool_calls=(CALL,)), Message("tool", "sunny", tool_call_id="c1", name="get_weather"), Message("assistant", "Warm.")]),
        ({"role": "assistant", "content": "Warm.", "toolInvocations": [{"state": "result", "toolCallId": "c1", "toolName": "get_weather", "args": {"city": "Paris"}, "result": "sunny"}]},
         [Message("assistant", "", tool_calls=(CALL,)), Message("tool", "sunny", tool_call_id="c1", name="get_weather"), Message("assistant", "Warm.")]),
        ({"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "get_weather", "input": {"city": "Paris"}, "providerOptions": {}}]},
         [Message("assistant", "", tool_calls=(CALL,))]),
        ({"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "toolName": "get_weather", "output": {"type": "error-text", "value": "no such city"}}]},
         [Message("tool", "Error: no such city", name="get_weather", tool_call_id="c1")]),
        ({"role": "assistant", "content": [{"type": "error", "error": "An error occurred"}, {"type": "text", "text": "x"}, {"type": "agent_update", "agent_update": {"index": 0}}]},
         [Message("assistant", "x")]),
        # Gemini
        ({"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}, [Message("user", "ab")]),
        ({"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "x", "thoughtSignature": "s"}, {"functionCall": {"id": "c1", "name": "get_weather", "args": {"city": "Paris"}}}]},
         [Message("assistant", "x", tool_calls=(CALL,), reasoning="hm")]),
        ({"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "get_weather", "response": {"degrees": 20}}}]},
         [Message("tool", '{"degrees": 20}', name="get_weather", tool_call_id="c1")]),
        ({"role": "function", "parts": [{"function_response": {"name": "get_weather", "response": {"degrees": 20}}}]},
         [Message("tool", '{"degrees": 20}', name="get_weather")]),
        ({"role": "model", "parts": [{"function_call": {"name": "get_weather", "args": {"city": "Paris"}}}]},
         [Message("assistant", "", tool_calls=(ToolCall("", "get_weather", '{"city": "Paris"}'),))]),
        # Open WebUI: what its backend sends on of a turn with a tool, with the fields that its database adds
        ({"id": "m1", "parentId": None, "childrenIds": ["m2"], "role": "user", "content": "x", "timestamp": 1, "models": ["m"], "files": []}, [Message("user", "x")]),
        ({"role": "assistant", "content": "", "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}]},
         [Message("assistant", "", tool_calls=(CALL,))]),
        # Other names of the same, and ids that are numbers
        ({"role": "User", "content": "x"}, [Message("user", "x")]),
        ({"role": "SYSTEM", "content": "x"}, [Message("system", "x")]),
        ({"role": "bot", "content": "x"}, [Message("assistant", "x")]),
        ({"role": "CHATBOT", "content": "x"}, [Message("assistant", "x")]),
        ({"role": "ipython", "content": '{"degrees": 20}'}, [Message("tool", '{"degrees": 20}')]),
        ({"role": "function", "name": "get_weather", "content": "sunny"}, [Message("function", "sunny", name="get_weather")]),
        ({"role": "tool", "tool_call_id": 7, "content": "sunny"}, [Message("tool", "sunny", tool_call_id="7")]),
        ({"role": "assistant", "tool_calls": [{"id": 7, "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}]},
         [Message("assistant", None, tool_calls=(ToolCall("7", "get_weather", '{"city": "Paris"}'),))]),
        ({"role": "assistant", "content": "x", "provider_specific_fields": {"reasoning_content": "hm"}}, [Message("assistant", "x", reasoning="hm")]),
        # Results that are no text
        ({"role": "tool", "tool_call_id": "c1", "content": {"degrees": 20}}, [Message("tool", '{"degrees": 20}', tool_call_id="c1")]),
        ({"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "sunny"}]}, [Message("tool", "sunny", tool_call_id="c1")]),
    ],
)  # fmt: skip
def test_every_clients_format_is_read(given: dict[str, Any], wanted: list[Message]) -> None:
    assert list(as_messages([given])) == wanted


def test_objects_of_clients_are_read() -> None:
    from openai.types.chat import ChatCompletionMessage

    said = ChatCompletionMessage(role="assistant", content="x")
    assert as_messages([Message.user("a"), said]) == (Message.user("a"), Message.assistant("x"))  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "image_url"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "input_audio"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "file"),
        ({"role": "user", "content": [{"type": "document", "source": {}}]}, "document"),
        ({"role": "user", "content": [{"type": "hologram"}]}, "hologram"),
        ({"role": "user", "content": [{"inline_data": {}}]}, "media"),
        ({"role": "user", "content": [7]}, "int"),
        ({"role": "user", "content": [{"inlineData": {"data": "x"}}]}, "media"),
        ({"role": "model", "parts": [{"executableCode": {"code": "1"}}]}, "executableCode"),
        ({"role": "assistant", "parts": [{"type": "data-chart", "data": {}}]}, "data-chart"),
        ({"role": "user", "content": "x", "images": "aGk="}, "images"),
        ({"role": "user", "content": "x", "files": [{"type": "file", "id": "f"}]}, "files"),
        ({"role": "user", "content": "x", "experimental_attachments": [{"url": "x"}]}, "experimental_attachments"),
        ({"role": "tool", "tool_call_id": 1.5, "content": "x"}, "id"),
        ({"role": "tool", "tool_call_id": True, "content": "x"}, "id"),
        ({"role": "assistant", "content": None, "audio": {"id": "x"}}, "audio"),
        ({"role": "wizard", "content": "x"}, "wizard"),
        ({"role": "assistant", "tool_calls": [{"type": "function"}]}, "name"),
        ({"role": "user", "content": "x", "reasoning": 7}, "reasoning"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(message: dict[str, Any], word: str) -> None:
    with pytest.raises(BadRequestError, match=word):
        as_messages([message])


def test_error_messages_are_short_whatever_the_input() -> None:
    for message in (
        {"role": "x" * 10**6},
        {"role": "user", "content": [{"type": "x\n" * 10**6}]},
        {"role": "user", "name": ["x"] * 10**6},
    ):
        with pytest.raises(BadRequestError) as caught:
            as_messages([message])
        assert len(str(caught.value)) < 600
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        {"name": "f", "description": "d", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "f", "description": "d", "input_schema": {"type": "object"}},
    ],
)
def test_tools_come_in_several_shapes(tool: dict[str, Any]) -> None:
    assert as_tools([tool]) == (Tool("f", "d", {"type": "object"}),)


@pytest.mark.parametrize("kind", ["web_search", "code_interpreter", "custom", "mcp"])
def test_tools_that_are_no_functions_are_refused_by_name(kind: str) -> None:
    with pytest.raises(BadRequestError, match=kind):
        as_tools([{"type": kind, "name": "f"}])


def test_surrogates_without_a_partner_are_replaced() -> None:
    lone, whole = "a\ud800b\udc00", "a\ufffdb\ufffd"
    data = {"role": "assistant", "content": lone, "name": lone, "reasoning": lone,
            "tool_calls": [{"id": lone, "function": {"name": lone, "arguments": lone}}]}  # fmt: skip
    assert as_messages([data]) == (
        Message("assistant", whole, name=whole, tool_calls=(ToolCall(whole, whole, whole),), reasoning=whole),
    )
    assert Message.user(lone).content == ChatReply(lone).content == Delta(lone).content == whole
    tool = as_tools([{"name": lone, "description": lone, "input_schema": {lone: [lone]}}])[0]
    assert (tool.name, tool.description, tool.parameters) == (whole, whole, {whole: [whole]})
    assert ResponseFormat.coerce({"type": "json_schema", "schema": {lone: lone}}).schema == {whole: whole}
    params = ChatParams.of({"stop": [lone], "grammar": lone, "session": lone})
    assert (params.stop, params.grammar, params.session) == ((whole,), whole, whole)
    assert Message.user("😀").content == "😀"


TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("f", "g")]


@pytest.mark.parametrize(
    ("choice", "wanted", "left"),
    [
        ("any", "required", ["f", "g"]),
        ("required", "required", ["f", "g"]),
        ("g", "g", ["f", "g"]),
        ({"type": "any"}, "required", ["f", "g"]),
        ({"type": "auto"}, "auto", ["f", "g"]),
        ({"type": "none"}, "none", ["f", "g"]),
        ({"type": "tool", "name": "f"}, "f", ["f", "g"]),
        ({"type": "function", "name": "f"}, "f", ["f", "g"]),
        ({"type": "function", "function": {"name": "f"}}, "f", ["f", "g"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}}, "required", ["g"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]}, "auto", ["g"]),
    ],
)  # fmt: skip
def test_tool_choice_is_read_in_every_clients_form(choice: Any, wanted: str, left: list[str]) -> None:
    params = ChatParams.of({"tools": TOOLS, "tool_choice": choice})
    assert (params.tool_choice, [tool.name for tool in params.tools]) == (wanted, left)


def test_a_choice_may_forbid_calls_side_by_side() -> None:
    params = ChatParams.of({"tools": TOOLS, "tool_choice": {"type": "any", "disable_parallel_tool_use": True}})
    assert params.parallel_tool_calls is False


@pytest.mark.parametrize(
    "choice", ["h", {"type": "tool", "name": "h"}, {"type": "allowed_tools", "tools": [{"name": "h"}]}, {}, 7]
)
def test_a_choice_that_fits_no_tool_is_refused(choice: Any) -> None:
    with pytest.raises(BadRequestError, match="tool"):
        ChatParams.of({"tools": TOOLS, "tool_choice": choice})


def test_minus_one_is_no_limit_off_or_random() -> None:
    params = ChatParams.of({"max_tokens": -1, "top_k": -1, "seed": -1, "reasoning_tokens": -1})
    assert (params.max_tokens, params.unlimited, params.sampling) == (None, True, {"top_k": 0})
    assert params.reasoning_tokens is not None
    assert params.reasoning_tokens > 10**6
    assert ChatParams.of({"max_tokens": -1.0}).unlimited
    assert ChatParams.of({"seed": -2}).sampling == {"seed": 2**64 - 2}
    assert not ChatParams.of({"seed": -1}).unlimited
    for bad in ({"max_tokens": -2}, {"max_tokens": 0}, {"top_k": -2}, {"reasoning_tokens": -2}, {"unlimited": True}):
        with pytest.raises(BadRequestError, match=next(iter(bad))):
            ChatParams.of(bad)


def test_a_schema_binds_wherever_it_stands_in_a_format() -> None:
    schema = {"type": "object"}
    for form in (
        {"type": "json_schema", "json_schema": {"schema": schema}},
        {"type": "json_schema", "schema": schema},
        {"type": "json_object", "schema": schema},
        {"type": "json_object", "json_schema": {"schema": schema}},
    ):
        assert ResponseFormat.coerce(form) == ResponseFormat.json_schema(schema)


def test_surrogates_with_a_partner_become_one_character() -> None:
    assert whole_text("a\ud83d\ude00b\ude00\ud83d") == "a\U0001f600b\ufffd\ufffd"


@pytest.mark.parametrize("text", ["[" * 100_000, "{" + '"a":{' * 100_000, "nonsense", "9" * 5000])
def test_arguments_that_can_not_be_read_are_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        ToolCall("1", "f", text).parsed()
