"""Answers in every dialect of OpenAI's API that endpoints speak, whole and streamed, over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlant_local.backends.openai import OpenAIBackend
from parlant_local.backends.openai_reading import reply_of
from parlant_local.backends.openai_stream import StreamAssembler
from parlant_local.backends.sse import EventReader
from parlant_local.backends.thoughts import TaggedThoughts, without_thoughts
from parlant_local.errors import (
    BadRequestError,
    ContextOverflowError,
    ParlantLocalError,
    RateLimitedError,
    StreamInterruptedError,
    TargetDownError,
    TextTooLongError,
    TransientError,
)
from parlant_local.messages import ChatReply, ToolCall, Usage
from tests.fakes.http import Fault, FaultServer, Reply, Request

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


class Saying(FaultServer):
    """Answers every request with what it was given: a body, or the bytes of a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.body: Any = None
        self.pieces: Sequence[bytes] = ()
        self.content_type = "text/event-stream"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    async def route(self, request: Request) -> Reply:
        if not self.pieces:
            return Reply(self.body)

        async def lines() -> AsyncIterator[bytes]:
            for piece in self.pieces:
                yield piece

        return Reply(lines=lines(), content_type=self.content_type)


@pytest.fixture
async def server() -> AsyncIterator[Saying]:
    async with Saying() as made:
        yield made  # type: ignore[misc]  # the base's context manager gives the server itself


@pytest.fixture
async def backend(server: Saying) -> AsyncIterator[OpenAIBackend]:
    async with OpenAIBackend("m", base_url=server.base_url, name="x", timeout=2.0) as made:
        yield made


def message(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", **fields}}]}


def event(data: Any, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(data)}{end}".encode()


def delta(finish: Any = None, **fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


DONE = b"data: [DONE]\n\n"


async def streamed(backend: OpenAIBackend) -> ChatReply:
    """What a stream spells."""
    text, thoughts, calls, finish, usage = "", "", {}, None, Usage()
    async for chunk in backend.chat_stream("hello", tools=[TOOL]):
        text += chunk.delta.content
        thoughts += chunk.delta.reasoning
        finish, usage = chunk.finish_reason or finish, chunk.usage or usage
        for piece in chunk.delta.tool_calls:
            id_, name, arguments = calls.get(piece.index, ("", "", ""))
            assert not (id_ and piece.id), "an id comes once"
            assert not (name and piece.name), "a name comes once"
            calls[piece.index] = (id_ or piece.id or "", name or piece.name or "", arguments + piece.arguments)
    assert finish is not None
    made = tuple(ToolCall(*calls[index]) for index in sorted(calls))
    return ChatReply(text, thoughts, made, finish, usage)


# Content and thoughts, as (message or delta fields, text, thoughts)
CONTENT: list[tuple[str, dict[str, Any], str, str]] = [
    ("text", {"content": "Paris"}, "Paris", ""),
    ("null", {"content": None}, "", ""),
    ("parts", {"content": [{"type": "text", "text": "Pa"}, {"type": "text", "text": "ris"}]}, "Paris", ""),
    ("strings as parts", {"content": ["Pa", "ris"]}, "Paris", ""),
    ("one part, no list", {"content": {"type": "text", "text": "Paris"}}, "Paris", ""),
    ("output_text", {"content": [{"type": "output_text", "text": "Paris", "annotations": []}]}, "Paris", ""),
    ("magistral", {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Paris"}]}, "Paris", "Hm."),
    ("anthropic", {"content": [{"type": "thinking", "thinking": "Hm.", "signature": "x"}, {"type": "text", "text": "Paris"}]}, "Paris", "Hm."),
    ("redacted", {"content": [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "Paris"}]}, "Paris", ""),
    ("reasoning part", {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}, {"type": "text", "text": "Paris"}]}, "Paris", "Hm."),
    ("an image", {"content": [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "Paris"}]}, "Paris", ""),
    ("reasoning_content", {"content": "Paris", "reasoning_content": "Hm."}, "Paris", "Hm."),
    ("reasoning", {"content": "Paris", "reasoning": "Hm."}, "Paris", "Hm."),
    ("reasoning, null beside", {"content": "Paris", "reasoning_content": None, "reasoning": "Hm."}, "Paris", "Hm."),
    ("reasoning as object", {"content": "Paris", "reasoning": {"content": "Hm."}}, "Paris", "Hm."),
    ("thinking", {"content": "Paris", "thinking": "Hm."}, "Paris", "Hm."),
    ("thinking_blocks", {"content": "Paris", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}, "Paris", "Hm."),
    ("text with a value", {"content": [{"type": "text", "text": {"value": "Paris"}}]}, "Paris", ""),
    ("reasoning_details", {"content": "Paris", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}, "Paris", "Hm."),
    ("think tags", {"content": "<think>\nHm.\n</think>\n\nParis"}, "Paris", "Hm."),
    ("THINK marks", {"content": "[THINK]Hm.[/THINK]Paris"}, "Paris", "Hm."),
    ("no thought in tags", {"content": "<think>\n\n</think>\n\nParis"}, "Paris", ""),
    ("a tag later on", {"content": "Paris <think>no</think>"}, "Paris <think>no</think>", ""),
    ("told apart, tag is text", {"content": "<think>", "reasoning_content": "Hm."}, "<think>", "Hm."),
    ("refusal", {"content": None, "refusal": "I can't."}, "I can't.", ""),
    ("a number", {"content": 42}, "42", ""),
    ("a fraction", {"content": 0.5}, "0.5", ""),
    ("true", {"content": True}, "true", ""),
    ("a value", {"content": {"city": "Paris", "n": [1, "é"]}}, '{"city": "Paris", "n": [1, "é"]}', ""),
    ("a type that is no name", {"content": [{"type": {"name": "text"}}, {"type": "text", "text": "Paris"}]}, "Paris", ""),
    ("numbers", {"content": [1, 2]}, "[1, 2]", ""),
    ("gemini's own parts", {"parts": [{"text": "Pa"}, {"text": "ris"}]}, "Paris", ""),
    ("reasoning_text", {"content": "Paris", "reasoning_text": "Hm."}, "Paris", "Hm."),
    ("channels", {"content": "<|channel>thought\nHm.<channel|>Paris"}, "Paris", "Hm."),
    ("litellm's fields", {"content": "Paris", "provider_specific_fields": {"reasoning_content": "Hm."}}, "Paris", "Hm."),
    ("litellm's, doubled", {"content": "Paris", "reasoning_content": "Hm.", "provider_specific_fields": {"reasoning_content": "Hm."}}, "Paris", "Hm."),
    ("litellm's, empty", {"content": "Paris", "provider_specific_fields": {"reasoning_content": None, "refusal": None}}, "Paris", ""),
    ("closed only", {"content": "Hm.\n</think>\n\nParis"}, "Paris", "Hm."),
    ("closed only, on one line", {"content": "h</think>Paris"}, "Paris", "h"),
    ("closed only, nothing thought", {"content": "\n</think>\n\nParis"}, "Paris", ""),
    ("closed only, in other words", {"content": "Hm.[/THINK]Paris"}, "Paris", "Hm."),
    ("a closing tag that is quoted", {"content": "It ends with `</think>` there"}, "It ends with `</think>` there", ""),
    ("broken surrogates", {"content": "\ud83d Paris"}, "\ufffd Paris", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "text", "thoughts"), CONTENT, ids=[row[0] for row in CONTENT])
async def test_content_and_thoughts(
    name: str, fields: dict[str, Any], text: str, thoughts: str, server: Saying, backend: OpenAIBackend
) -> None:
    server.body = message(**fields)
    reply = await backend.chat("hello")
    assert (reply.content, reply.reasoning, reply.finish_reason) == (text, thoughts, "stop")
    server.pieces = [delta(role="assistant"), delta(**fields), delta("stop"), DONE]
    reply = await streamed(backend)
    assert (reply.content, reply.reasoning, reply.finish_reason) == (text, thoughts, "stop")


OPENED_BEFORE = ["Let me", " see.", "\n</th", "ink>\n", "\nPa", "ris"]


async def test_thoughts_whose_beginning_stood_in_the_prompt(server: Saying, backend: OpenAIBackend) -> None:
    server.body = message(content="Let me see.\n</think>\n\nParis")
    reply = await backend.chat("hello")
    assert (reply.content, reply.reasoning) == ("Paris", "Let me see.")
    server.pieces = [*(delta(content=piece) for piece in OPENED_BEFORE), delta("stop"), DONE]
    seen = [chunk.delta async for chunk in backend.chat_stream("hello")]
    assert ("".join(item.content for item in seen), "".join(item.reasoning for item in seen)) == (
        "Paris",
        "Let me see.",
    )
    assert sum(bool(item.reasoning) for item in seen) > 1  # as they come
    server.pieces = [delta(content="Let me"), delta(content=" see"), delta("length"), DONE]
    reply = await streamed(backend)
    assert (reply.content, reply.reasoning, reply.finish_reason) == ("", "Let me see", "length")


async def test_an_answer_without_the_thoughts_that_were_expected_is_not_lost(
    server: Saying, backend: OpenAIBackend
) -> None:
    server.body = message(content="Hm.</think>Paris")
    await backend.chat("hello")
    server.pieces = [delta(content="Par"), delta(content="is"), delta("stop"), DONE]
    assert (await streamed(backend)).content == "Paris"
    again = await streamed(backend)
    assert (again.content, again.reasoning) == ("Paris", "")


@pytest.mark.parametrize(("model", "options"), [("deepseek-r1:7b", {}), ("m", {"reasoning": "on"})])
async def test_where_thoughts_are_to_be_expected_no_answer_begins_with_them(
    model: str, options: dict[str, Any], server: Saying
) -> None:
    async with OpenAIBackend(model, base_url=server.base_url, name="x", timeout=2.0) as fresh:
        server.pieces = [*(delta(content=piece) for piece in OPENED_BEFORE), delta("stop"), DONE]
        for _ in range(2):
            seen = [chunk.delta async for chunk in fresh.chat_stream("hello", **options)]
            assert "".join(item.content for item in seen) == "Paris"
            assert "".join(item.reasoning for item in seen) == "Let me see."
    async with OpenAIBackend(model, base_url=server.base_url, name="x", timeout=2.0) as fresh:
        server.pieces = [delta(content="Par"), delta(content="is"), delta("stop"), DONE]
        for pieces in (1, 2):  # once an answer was seen, the next one comes as it is written
            seen = [chunk.delta async for chunk in fresh.chat_stream("hello", **options)]
            assert [item.content for item in seen if item.content] == (["Paris"] if pieces == 1 else ["Par", "is"])


async def test_a_first_stream_teaches_the_next_one(server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = [*(delta(content=piece) for piece in OPENED_BEFORE), delta("stop"), DONE]
    await streamed(backend)
    reply = await streamed(backend)
    assert (reply.content, reply.reasoning) == ("Paris", "Let me see.")


async def test_geminis_thoughts_are_marked_beside_them(server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = [
        delta(content="Hm.", extra_content={"google": {"thought": True}}),
        delta(content="Paris"),
        delta("stop"),
        DONE,
    ]
    reply = await streamed(backend)
    assert (reply.content, reply.reasoning) == ("Paris", "Hm.")


@given(st.text(alphabet="<think/>[THINK] \nab◁▷", max_size=60), st.integers(1, 7))
def test_pieces_of_any_size_are_split_the_same_way(text: str, size: int) -> None:
    splitter = TaggedThoughts()
    deltas = [item for start in range(0, len(text), size) for item in splitter.feed(text[start : start + size])]
    deltas += splitter.finish()
    whole = TaggedThoughts()
    at_once = [*whole.feed(text), *whole.finish()]
    assert "".join(item.content for item in deltas) == "".join(item.content for item in at_once)
    if not any(item.reasoning for item in at_once) and "</think>" not in text:
        assert without_thoughts(text)[0] == "".join(item.content for item in at_once)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["text", "thinking", "tool_use", "x", "b</think>c", "\ud800", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from("content tool_calls function_call function name arguments id index type text reasoning thinking "
                        "provider_specific_fields extra_content google thought refusal input value".split()), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(st.fixed_dictionaries({"delta": ANY, "index": ANY, "finish_reason": ANY}), max_size=4), st.booleans())
def test_any_json_is_read(choices: list[dict[str, Any]], hold: bool) -> None:
    assembler = StreamAssembler("m", hold=hold)
    for choice in choices:
        assembler.feed({"choices": [choice]})
        found = reply_of({"choices": [{"message": choice["delta"], **choice}]}, "m")
        (found.content + found.reasoning).encode()
    assembler.end(done=True)
    assembler.whole().content.encode()


# Tool calls

CALLS: list[tuple[str, list[dict[str, Any]], list[tuple[str, dict[str, Any]]]]] = [
    ("arguments as an object", [{"id": "a", "type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}], [("weather", {"city": "Paris"})]),
    ("no id, no type", [{"function": {"name": "weather", "arguments": '{"city": "Paris"}'}}], [("weather", {"city": "Paris"})]),
    ("null arguments", [{"id": "a", "function": {"name": "weather", "arguments": None}}], [("weather", {})]),
    ("empty arguments", [{"id": "a", "function": {"name": "weather", "arguments": ""}}], [("weather", {})]),
    ("flat", [{"id": "a", "name": "weather", "arguments": {"city": "Paris"}}], [("weather", {"city": "Paris"})]),
    ("args", [{"id": "a", "name": "weather", "args": {"city": "Paris"}}], [("weather", {"city": "Paris"})]),
    ("parameters", [{"id": "a", "function": {"name": "weather", "parameters": {"city": "Paris"}}}], [("weather", {"city": "Paris"})]),
    ("two, numbered alike", [{"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"n":1}'}}, {"index": 0, "id": "b", "function": {"name": "weather", "arguments": '{"n":2}'}}], [("weather", {"n": 1}), ("weather", {"n": 2})]),
    ("JSON in JSON", [{"id": "a", "function": {"name": "weather", "arguments": json.dumps('{"city": "Paris"}')}}], [("weather", {"city": "Paris"})]),
    ("the word for nothing", [{"id": "a", "function": {"name": "weather", "arguments": "null"}}], [("weather", {})]),
    ("two of one id", [{"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"n":1}'}}, {"index": 1, "id": "a", "function": {"name": "rain", "arguments": '{"n":2}'}}], [("weather", {"n": 1}), ("rain", {"n": 2})]),
    ("two, without anything", [{"function": {"name": "weather", "arguments": '{"n":1}'}}, {"function": {"name": "weather", "arguments": '{"n":2}'}}], [("weather", {"n": 1}), ("weather", {"n": 2})]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "calls", "expected"), CALLS, ids=[row[0] for row in CALLS])
@pytest.mark.parametrize("finish", ["tool_calls", "stop", "tool_use", "TOOL_CALL", None])
async def test_tool_calls(
    name: str, calls: list[Any], expected: list[Any], finish: str | None, server: Saying, backend: OpenAIBackend
) -> None:
    server.body = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": finish}]}
    whole = await backend.chat("hello", tools=[TOOL])
    server.pieces = [delta(tool_calls=calls), delta(finish), DONE]
    at_once = await streamed(backend)
    server.pieces = [*(delta(tool_calls=[call]) for call in calls), delta(finish), DONE]
    in_turn = await streamed(backend)
    for reply in (whole, at_once, in_turn):
        assert [(call.name, call.parsed()) for call in reply.tool_calls] == expected
        assert len({call.id for call in reply.tool_calls}) == len(expected)
        assert reply.finish_reason == "tool_calls"


async def test_a_legacy_function_call(server: Saying, backend: OpenAIBackend) -> None:
    call = {"name": "weather", "arguments": '{"city": "Paris"}'}
    server.body = {"choices": [{"message": {"content": None, "function_call": call}, "finish_reason": "function_call"}]}
    assert (await backend.chat("hello")).tool_calls[0].parsed() == {"city": "Paris"}


async def test_a_call_as_a_part_of_the_content(server: Saying, backend: OpenAIBackend) -> None:
    part = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
    server.body = message(content=[{"type": "text", "text": "I look."}, part])
    reply = await backend.chat("hello")
    assert (reply.content, reply.tool_calls[0].parsed(), reply.tool_calls[0].id) == (
        "I look.",
        {"city": "Paris"},
        "toolu_1",
    )


PIECES = ['{"ci', 'ty": "Pa', 'ris"}']
STREAMED_CALLS: list[tuple[str, list[dict[str, Any]]]] = [
    ("as OpenAI does", [{"index": 0, "id": "a", "function": {"name": "weather", "arguments": ""}}, *({"index": 0, "function": {"arguments": piece}} for piece in PIECES)]),
    ("no index", [{"id": "a", "function": {"name": "weather", "arguments": ""}}, *({"function": {"arguments": piece}} for piece in PIECES)]),
    ("no index, no id", [{"function": {"name": "weather"}}, *({"function": {"arguments": piece}} for piece in PIECES)]),
    ("id and name every time", [{"index": 0, "id": "a", "function": {"name": "weather", "arguments": piece}} for piece in PIECES]),
    ("name every time", [{"function": {"name": "weather", "arguments": piece}} for piece in PIECES]),
    ("another id every time", [{"index": 0, "id": f"a{n}", "function": {"name": "weather" if not n else None, "arguments": piece}} for n, piece in enumerate(PIECES)]),
    ("empty strings", [{"index": 0, "id": "a", "function": {"name": "weather", "arguments": ""}}, *({"index": 0, "id": "", "function": {"name": "", "arguments": piece}} for piece in PIECES)]),
    ("nulls", [{"index": None, "id": "a", "type": None, "function": {"name": "weather", "arguments": None}}, *({"index": None, "id": None, "function": {"name": None, "arguments": piece}} for piece in PIECES)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pieces"), STREAMED_CALLS, ids=[row[0] for row in STREAMED_CALLS])
async def test_pieces_of_a_call(name: str, pieces: list[Any], server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = [*(delta(tool_calls=[piece]) for piece in pieces), delta("tool_calls"), DONE]
    reply = await streamed(backend)
    assert [(call.name, call.parsed()) for call in reply.tool_calls] == [("weather", {"city": "Paris"})]


async def test_pieces_of_two_calls_that_take_turns(server: Saying, backend: OpenAIBackend) -> None:
    first = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"n":'}}
    second = {"index": 1, "id": "b", "function": {"name": "weather", "arguments": '{"n":'}}
    ends = [{"index": 0, "function": {"arguments": "1}"}}, {"index": 1, "function": {"arguments": "2}"}}]
    server.pieces = [*(delta(tool_calls=[piece]) for piece in (first, second, *ends)), delta("tool_calls"), DONE]
    assert [call.parsed() for call in (await streamed(backend)).tool_calls] == [{"n": 1}, {"n": 2}]


# Ends

REASONS = {
    "stop": "stop", "eos": "stop", "eos_token": "stop", "end_turn": "stop", "stop_sequence": "stop", "STOP": "stop", "": "stop",
    "length": "length", "max_tokens": "length", "MAX_TOKENS": "length", "model_length": "length",
    "SAFETY": "content_filter", "content_filter": "content_filter", "RECITATION": "content_filter", "sensitive": "content_filter",
    "something new": "stop",
}  # fmt: skip


REASONS |= {"FinishReason.MAX_TOKENS": "length", "FINISH_REASON_STOP": "stop", "maxTokens": "length", "content-filter": "content_filter", "max new tokens": "length"}  # fmt: skip


@pytest.mark.parametrize(("reason", "expected"), REASONS.items())
async def test_reasons_in_other_words(reason: str, expected: str, server: Saying, backend: OpenAIBackend) -> None:
    server.body = {"choices": [{"message": {"content": "Paris"}, "finish_reason": reason}]}
    assert (await backend.chat("hello")).finish_reason == expected
    server.pieces = [delta(content="Paris"), delta(reason), DONE]
    assert (await streamed(backend)).finish_reason == expected


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "abort", "error", "network_error"])
async def test_an_answer_that_was_broken_off_is_no_answer(reason: str, server: Saying, backend: OpenAIBackend) -> None:
    server.body = {"choices": [{"message": {"content": "Par"}, "finish_reason": reason}]}
    with pytest.raises(TransientError, match=reason):
        await backend.chat("hello")
    server.pieces = [delta(content="Par"), delta(reason), DONE]
    with pytest.raises(StreamInterruptedError, match=reason):
        await streamed(backend)


async def test_a_stream_without_a_reason_ends_where_it_says_so(server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = [delta(content="Paris"), DONE]
    assert (await streamed(backend)).finish_reason == "stop"
    server.pieces = [delta(content="Par")]
    with pytest.raises(StreamInterruptedError, match="before the answer was complete"):
        await streamed(backend)
    server.pieces = [DONE]
    with pytest.raises(TargetDownError):
        await streamed(backend)


@pytest.mark.parametrize("rest", [[], [b": bye"], [b'data: {"choices": [], "usa']])
async def test_a_stream_that_is_cut_after_its_reason_is_whole(
    rest: list[bytes], server: Saying, backend: OpenAIBackend
) -> None:
    server.pieces = [delta(content="Paris"), delta("stop"), *rest, b": never sent"]
    server.faults.append(Fault("cut", after=len(server.pieces) - 1))
    reply = await streamed(backend)
    assert (reply.content, reply.finish_reason) == ("Paris", "stop")
    server.pieces = [delta(content="Par"), *rest, b": never sent"]
    server.faults.append(Fault("cut", after=len(server.pieces) - 1))
    with pytest.raises(StreamInterruptedError):
        await streamed(backend)
    both = [event({"choices": [{"index": index, "delta": {"content": "Paris"}}]}) for index in (0, 1)]
    server.pieces = [*both, delta("stop"), b": never sent"]  # the other one of two answers has no end
    server.faults.append(Fault("cut", after=3))
    with pytest.raises(StreamInterruptedError):
        _ = [chunk async for chunk in backend.chat_stream("hello", n=2)]


async def test_an_error_after_the_reason_is_an_error(server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = [delta(content="Paris"), delta("stop"), event({"error": {"message": "CUDA error", "code": 500}})]
    with pytest.raises(StreamInterruptedError):
        await streamed(backend)


async def test_calls_that_are_no_list(server: Saying, backend: OpenAIBackend) -> None:
    call = {"id": "a", "function": {"name": "weather", "arguments": {"city": "Paris"}}}
    for calls in (call, {"0": call}, {"id": "a", "name": "weather", "input": {"city": "Paris"}}):
        server.body = message(content=None, tool_calls=calls)
        reply = await backend.chat("hello", tools=[TOOL])
        server.pieces = [delta(tool_calls=calls), delta("tool_calls"), DONE]
        for found in (reply, await streamed(backend)):
            assert [(made.name, made.parsed()) for made in found.tool_calls] == [("weather", {"city": "Paris"})]
            assert found.finish_reason == "tool_calls"
        server.pieces = ()


async def test_a_completion_whose_text_is_a_value(server: Saying, backend: OpenAIBackend) -> None:
    server.body = {"choices": [{"text": 42}]}
    assert (await backend.complete("6 * 7 =")).content == "42"


# Usage

USAGES: list[tuple[str, dict[str, Any], Usage]] = [
    ("openai", {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}, Usage(7, 3)),
    ("details", {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 1}}}, Usage(7, 3, 2, 1)),
    ("null details", {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": None}}, Usage(7, 3)),
    ("deepseek", {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_cache_hit_tokens": 2}}, Usage(7, 3, 2)),
    ("anthropic", {"usage": {"input_tokens": 7, "output_tokens": 3}}, Usage(7, 3)),
    ("total only", {"usage": {"prompt_tokens": 7, "total_tokens": 10}}, Usage(7, 3)),
    ("groq", {"x_groq": {"id": "x", "usage": {"prompt_tokens": 7, "completion_tokens": 3}}}, Usage(7, 3)),
    ("llama-server", {"timings": {"prompt_n": 5, "cache_n": 2, "predicted_n": 3}}, Usage(7, 3, 2)),
    ("none", {}, Usage()),
    ("null", {"usage": None}, Usage()),
    ("nonsense", {"usage": {"prompt_tokens": "many", "completion_tokens": None}}, Usage()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "extra", "expected"), USAGES, ids=[row[0] for row in USAGES])
async def test_usage(name: str, extra: dict[str, Any], expected: Usage, server: Saying, backend: OpenAIBackend) -> None:
    server.body = message(content="Paris") | extra
    assert (await backend.chat("hello")).usage == expected
    server.pieces = [delta(content="Paris"), delta("stop"), event({"choices": [], **extra}), DONE]
    assert (await streamed(backend)).usage == expected
    server.pieces = [delta(content="Paris"), delta("stop"), event({"choices": None, **extra}), DONE]
    assert (await streamed(backend)).usage == expected


async def test_usage_in_every_piece_is_the_last_ones(server: Saying, backend: OpenAIBackend) -> None:
    def piece(text: str, count: int) -> bytes:
        usage = {"prompt_tokens": 7, "completion_tokens": count}
        return event({"choices": [{"delta": {"content": text}}], "usage": usage})

    server.pieces = [piece("Pa", 1), piece("ris", 2), delta("stop"), DONE]
    assert (await streamed(backend)).usage == Usage(7, 2)


# Errors inside answers

ERRORS: list[tuple[str, Any, type[ParlantLocalError]]] = [
    ("openrouter", {"error": {"code": 429, "message": "Rate limit exceeded", "metadata": {}}}, RateLimitedError),
    ("a string", {"error": "the model crashed"}, TransientError),
    ("vllm's older", {"object": "error", "message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.", "code": 400}, ContextOverflowError),
    ("anthropic's", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, TransientError),
    ("fastapi's", {"detail": "Internal Server Error"}, TransientError),
    ("beside empty choices", {"choices": [], "error": {"message": "CUDA error", "code": 500}}, TransientError),
    ("tgi's", {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2048", "error_type": "validation"}, ContextOverflowError),
    ("invalid", {"error": {"message": "roles must alternate", "type": "invalid_request_error"}}, BadRequestError),
    ("a list", [{"error": {"code": 503, "message": "overloaded"}}], TransientError),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "expected"), ERRORS, ids=[row[0] for row in ERRORS])
async def test_an_error_in_a_body_of_status_200(
    name: str, body: Any, expected: type[ParlantLocalError], server: Saying, backend: OpenAIBackend
) -> None:
    server.body = body
    with pytest.raises(expected) as caught:
        await backend.chat("hello")
    assert type(caught.value) is expected
    with pytest.raises(TextTooLongError if expected is ContextOverflowError else expected):
        await backend.embed(["hello"])
    server.pieces = [event(body)]
    with pytest.raises(expected):
        await streamed(backend)
    server.pieces = [delta(content="Par"), event(body)]
    with pytest.raises(StreamInterruptedError):
        await streamed(backend)


@pytest.mark.parametrize("body", [{}, {"choices": None}, {"choices": []}, [], "text", 7, None, {"choices": ["x"]}])
async def test_a_body_without_an_answer(body: Any, server: Saying, backend: OpenAIBackend) -> None:
    server.body = body
    with pytest.raises(TransientError):
        await backend.chat("hello")


# The stream itself

WHOLE = {"choices": [{"message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}]}
STREAMS: list[tuple[str, list[bytes]]] = [
    ("comments and pings", [b": OPENROUTER PROCESSING\n\n", b"event: ping\ndata: {\"type\": \"ping\"}\n\n", delta(content="Paris"), b": ping\n\n", b"data: ping\n\n", b"data:\n\n", delta("stop"), DONE]),
    ("carriage returns", [piece.replace(b"\n", b"\r\n") for piece in (delta(content="Paris"), delta("stop"), DONE)]),
    ("no space", [piece.replace(b"data: ", b"data:") for piece in (delta(content="Paris"), delta("stop"), DONE)]),
    ("single line ends", [piece.replace(b"\n\n", b"\n") for piece in (delta(content="Paris"), delta("stop"), DONE)]),
    ("no end at all", [delta(content="Paris"), delta("stop").rstrip()]),
    ("ids and names", [b"id: 1\nevent: message\nretry: 10\n" + delta(content="Paris"), delta("stop"), DONE]),
    ("bytes one by one", [bytes([byte]) for byte in delta(content="Pa") + delta(content="ris") + delta("stop") + DONE]),
    ("a value over two lines", [b'data: {"choices": [{"delta":\ndata: {"content": "Paris"}}]}\n\n', delta("stop"), DONE]),
    ("bare lines", [delta(content="Paris").removeprefix(b"data: "), delta("stop").removeprefix(b"data: ")]),
    ("message instead of delta", [event({"choices": [{"index": 0, "message": {"content": "Paris"}, "finish_reason": "stop"}]}), DONE]),
    ("message beside deltas", [event({"choices": [{"delta": {"content": "Pa"}, "message": {"content": "Pa"}}]}), event({"choices": [{"delta": {"content": "ris"}, "message": {"content": "Paris"}, "finish_reason": "stop"}]}), DONE]),
    ("null delta", [event({"choices": [{"delta": None}]}), delta(content="Paris"), event({"choices": [{"delta": None, "finish_reason": "stop"}]}), DONE]),
    ("no index", [event({"choices": [{"delta": {"content": "Paris"}}]}), event({"choices": [{"delta": {}, "finish_reason": "stop"}]}), DONE]),
    ("separators of lines in the text", [delta(content="Pa"), 'data: {"choices": [{"delta": {"content": "ris"}}], "x": "\u2028\u0085"}\n\n'.encode(), delta("stop"), DONE]),
    ("much after the end", [delta(content="Paris"), delta("stop"), DONE, b": bye\n\n"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pieces"), STREAMS, ids=[row[0] for row in STREAMS])
async def test_streams(name: str, pieces: list[bytes], server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = pieces
    reply = await streamed(backend)
    assert (reply.content, reply.finish_reason) == ("Paris", "stop")
    assert (await streamed(backend)).content == "Paris"  # the connection serves again, or another does


async def test_an_endpoint_that_does_not_stream(server: Saying, backend: OpenAIBackend) -> None:
    server.body = WHOLE | {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    reply = await streamed(backend)
    assert (reply.content, reply.finish_reason, reply.usage) == ("Paris", "stop", Usage(7, 3))
    server.pieces, server.content_type = [json.dumps(WHOLE, indent=2).encode()], "application/json; charset=utf-8"
    assert (await streamed(backend)).content == "Paris"
    server.pieces = [delta(content="Paris"), delta("stop"), DONE]
    assert (await streamed(backend)).content == "Paris"  # events that are called JSON


async def test_a_character_whose_halves_come_apart(server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = [delta(content="a\ud83d"), delta(content="\ude00b"), delta(content="\ud83d"), delta("stop"), DONE]
    assert (await streamed(backend)).content == "a😀b\ufffd"


async def test_an_event_that_is_cut_is_an_error(server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = [b'data: {"choices": [{"delta": {"cont\n\n', delta("stop"), DONE]
    with pytest.raises(TransientError):
        await streamed(backend)


@given(st.binary(max_size=200), st.integers(1, 20))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes, size: int) -> None:
    reader = EventReader("x")
    try:
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
        reader.finish()
    except TransientError:
        return


def test_a_value_without_an_end_is_given_up() -> None:
    with pytest.raises(TransientError, match="bytes"):
        EventReader("x").feed(b"x" * (65 * 2**20))
    with pytest.raises(TransientError, match="lines"):
        EventReader("x").feed(b"data: [1\n" + b"data: ,1\n" * 2000)


# Beside chats


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]},
        {"data": [{"embedding": [1.0, 0.0]}, {"embedding": [0.0, 1.0]}], "usage": None},
        {"data": [{"index": 0, "embedding": "AACAPwAAAAA="}, {"index": 1, "embedding": "AAAAAAAAgD8="}]},
        {"embeddings": [[1.0, 0.0], [0.0, 1.0]]},
        [{"index": 0, "embedding": [[1.0, 0.0]]}, {"index": 1, "embedding": [[0.0, 1.0]]}],
    ],
)
async def test_vectors(body: Any, server: Saying, backend: OpenAIBackend) -> None:
    server.body = body
    assert (await backend.embed(["a", "b"])).vectors == ((1.0, 0.0), (0.0, 1.0))


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": [{}]}, {"data": [{"embedding": "?"}]}, {"data": [7, 8]}])
async def test_vectors_that_are_none(body: Any, server: Saying, backend: OpenAIBackend) -> None:
    server.body = body
    with pytest.raises(ParlantLocalError):
        await backend.embed(["a", "b"])


@pytest.mark.parametrize(
    ("body", "window"),
    [
        ({"data": [{"id": "m", "max_model_len": 4096}]}, 4096),
        ([{"id": "m", "context_length": 8192}], 8192),
        ({"models": [{"name": "m"}], "data": [{"id": "m", "meta": {"n_ctx_train": 2048}}]}, 2048),
        ({"data": [{"id": "models/m", "max_input_tokens": 1024}]}, 1024),
        ({"data": [{"id": "m", "context_window": 512}]}, 512),
        ({"data": None}, None),
        ({"data": [{"id": "m"}]}, None),
    ],
)
async def test_lists_of_models(body: Any, window: int | None, server: Saying, backend: OpenAIBackend) -> None:
    server.body = body
    assert (await backend.check()).n_ctx == window


@pytest.mark.parametrize(
    "body",
    [
        {"results": [{"index": 1, "relevance_score": 0.2}, {"index": 0, "relevance_score": 0.9}]},
        {"data": [{"index": 0, "relevance_score": 0.9}, {"index": 1, "relevance_score": 0.2}]},
        [{"index": 0, "score": 0.9}, {"index": 1, "score": 0.2}],
    ],
)
async def test_scores(body: Any, server: Saying, backend: OpenAIBackend) -> None:
    server.body = body
    assert (await backend.rerank("q", ["a", "b"])).scores == (0.9, 0.2)


# What we send


@pytest.mark.parametrize("stream", [False, True])
async def test_unpaired_surrogates_are_replaced_in_whatever_is_sent(
    stream: bool, server: Saying, backend: OpenAIBackend
) -> None:
    bad = "order \ud83d now, \udc00"
    server.body = WHOLE
    tool = {"type": "function", "function": {"name": "t", "description": bad, "parameters": {"type": "object", bad: 1}}}
    options: dict[str, Any] = {"tools": [tool], "stop": [bad]}
    if stream:
        _ = [chunk async for chunk in backend.chat_stream(bad, **options)]
    else:
        await backend.chat(bad, **options)
        server.body = {"choices": [{"text": "x"}]}
        await backend.complete(bad)
        server.body = {"data": [{"embedding": [1.0]}]}
        await backend.embed([bad])
        server.body = {"results": [{"index": 0, "relevance_score": 1}]}
        await backend.rerank(bad, [bad])
        server.body = {"results": [{"category_scores": {"hate": 0.5}}]}
        assert await backend.moderate(bad) == {"hate": 0.5}
    for request in server.requests:
        sent = json.dumps(request.body, ensure_ascii=False)
        assert sent.encode()
        assert "order \ufffd now, \ufffd" in sent


async def test_a_pair_of_surrogates_is_the_character_it_means(server: Saying, backend: OpenAIBackend) -> None:
    server.body = WHOLE
    await backend.chat("\ud83d\ude00 \ud83d")
    assert server.requests[0].body["messages"][0]["content"] == "😀 \ufffd"


async def test_unpaired_surrogates_are_replaced_in_whatever_comes(server: Saying, backend: OpenAIBackend) -> None:
    bad, whole = "a\ud83d", "a\ufffd"
    call = {"id": bad, "function": {"name": bad, "arguments": {bad: bad}}}
    logprob = {"token": bad, "logprob": -1.0, "top_logprobs": [{"token": bad, "logprob": -1.0}]}
    told = {"content": bad, "reasoning_content": bad, "tool_calls": [call]}
    server.body = {"choices": [{"message": told, "logprobs": {"content": [logprob]}}]}
    reply = await backend.chat("hello")
    assert (reply.content, reply.reasoning) == (whole, whole)
    assert (reply.tool_calls[0].id, reply.tool_calls[0].name, reply.tool_calls[0].parsed()) == (
        whole,
        whole,
        {whole: whole},
    )
    assert reply.logprobs is not None
    assert (reply.logprobs[0].token, reply.logprobs[0].top[0][0]) == (whole, whole)
    server.body = {"choices": [{"text": bad}]}
    assert (await backend.complete("hello")).content == whole
    server.pieces = [delta(**told), delta("stop"), DONE]
    reply = await streamed(backend)
    assert (reply.content, reply.reasoning, reply.tool_calls[0].name) == (whole, whole, whole)
    server.pieces, server.body = (), {"error": {"message": f"no {bad}", "code": 400}}
    with pytest.raises(BadRequestError) as caught:
        await backend.chat("hello")
    assert f"no {whole}" in str(caught.value)
    server.body = {"data": [{"id": bad}]}
    with pytest.raises(TargetDownError, match=whole):
        await backend.check()
    server.body = {"results": [{"category_scores": {bad: 0.5}}]}
    assert await backend.moderate("hello") == {whole: 0.5}


async def test_answers_are_in_the_order_of_their_numbers(server: Saying, backend: OpenAIBackend) -> None:
    server.body = {
        "choices": [{"index": at, "message": {"content": text}} for at, text in ((2, "c"), (0, "a"), (1, "b"))]
    }
    reply = await backend.chat("hello")
    assert [item.content for item in (reply, *reply.alternatives)] == ["a", "b", "c"]


async def test_odd_bodies_are_read(server: Saying, backend: OpenAIBackend) -> None:
    server.body = {"choices": [{"message": "Paris"}], "usage": {"prompt_tokens": "12", "completion_tokens": "3"}}
    reply = await backend.chat("hello")
    assert (reply.content, reply.usage.prompt_tokens, reply.usage.completion_tokens) == ("Paris", 12, 3)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"choices": None, "base_resp": {"status_code": 1000, "status_msg": "unknown trouble"}}, "unknown trouble"),
        ({"code": 500, "msg": "no route", "success": False}, "no route"),
        ({"error_code": 336, "error_msg": "no such key"}, "no such key"),
    ],
)
async def test_an_error_that_calls_itself_a_success_is_told(
    body: Any, told: str, server: Saying, backend: OpenAIBackend
) -> None:
    server.body = body
    with pytest.raises(ParlantLocalError, match=told):
        await backend.chat("hello")


@pytest.mark.parametrize("data", ['{"message": "overloaded"}', "overloaded", '{"error": {"message": "overloaded"}}'])
async def test_an_event_that_is_called_an_error_is_one(data: str, server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = [delta(content="Hi"), f"event: error\ndata: {data}\n\n".encode()]
    with pytest.raises(StreamInterruptedError, match="overloaded"):
        await streamed(backend)


async def test_a_byte_order_mark_begins_a_stream(server: Saying, backend: OpenAIBackend) -> None:
    server.pieces = [b"\xef\xbb\xbf" + delta(content="Hi"), delta("stop"), b"data: [done]\n\n"]
    assert (await streamed(backend)).content == "Hi"
