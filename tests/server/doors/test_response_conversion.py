"""What is asked as a response is what a chat is asked, and what a chat answers is what is told: nothing lost, nothing invented."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.messages import ChatReply, Message, ToolCall
from parlant_local.server.doors.response_events import GrowingResponse
from parlant_local.server.doors.responses import asked_facts, chat_of
from parlant_local.server.options import conversation_of, messages_of
from parlant_local.server.shapes.answers.responses import AskedFacts
from parlant_local.server.shapes.responses import ResponsesRequest
from parlant_local.settings import LimitSettings

from .test_message_conversion import ARGUMENTS, NAMES, REPLIES, TEXTS, chunks_of


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[Message]]:
    """Items, and the messages that they mean."""
    given: list[dict[str, Any]] = []
    meant: list[Message] = []
    for turn in range(draw(st.integers(1, 4))):
        said = draw(TEXTS)
        content: Any = [{"type": "input_text", "text": said}] if draw(st.booleans()) else said
        given.append({"role": "user", "content": content, **draw(st.sampled_from([{}, {"type": "message"}]))})
        meant.append(Message("user", said))
        thoughts = draw(st.none() | TEXTS)
        if thoughts is not None:
            parts = [{"type": draw(st.sampled_from(["summary_text", "reasoning_text"])), "text": thoughts}]
            full = {"summary": [], "content": parts} if parts[0]["type"] == "reasoning_text" else {"summary": parts}
            given.append({"type": "reasoning", "id": f"rs_{turn}", "encrypted_content": "x", **full})
        calls = [
            ToolCall(f"call_{turn}_{number}", draw(NAMES), json.dumps(draw(ARGUMENTS)))
            for number in range(draw(st.integers(0, 2)))
        ]
        answer = draw(TEXTS) if draw(st.booleans()) or not calls else None
        if answer is not None:
            text = [{"type": "output_text", "text": answer, "annotations": []}]
            given.append({"type": "message", "id": f"msg_{turn}", "role": "assistant", "content": text})
        for call in calls:
            given.append(
                {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments, "id": "x"}
            )
        meant.append(Message("assistant", answer or "", tool_calls=tuple(calls), reasoning=thoughts))
        for call in calls:
            result = draw(TEXTS)
            output: Any = [{"type": "input_text", "text": result}] if draw(st.booleans()) else result
            given.append({"type": "function_call_output", "call_id": call.id, "output": output})
            meant.append(Message("tool", result, tool_call_id=call.id))
    return given, meant


def asked(items: Any, **more: Any) -> list[Message]:
    chat = chat_of(ResponsesRequest.model_validate({"input": items, **more}), ())
    found = messages_of(conversation_of(chat), LimitSettings())
    return [message if message.content is not None else with_text(message) for message in found]


def with_text(message: Message) -> Message:
    """No text and an empty one are the same."""
    return Message(
        message.role, "", tool_calls=message.tool_calls, reasoning=message.reasoning, tool_call_id=message.tool_call_id
    )


@settings(max_examples=80, deadline=None)
@given(conversations(), st.none() | TEXTS)
def test_every_word_of_a_conversation_is_asked(both: tuple[Any, list[Message]], instructions: str | None) -> None:
    given, meant = both
    first = [] if instructions is None else [Message("system", instructions)]
    assert asked(given, instructions=instructions) == first + meant


@settings(max_examples=80, deadline=None)
@given(REPLIES, st.data())
def test_an_answer_is_told_whole_and_in_events_and_means_itself(reply: ChatReply, data: st.DataObject) -> None:
    facts = asked_facts(ResponsesRequest(input="x"))
    whole = told(GrowingResponse("m", facts, stored=False).whole(reply))
    growing = GrowingResponse("m", facts, stored=False)
    events = list(growing.begin())
    for chunk in chunks_of(reply, data):
        events += growing.chunk(chunk)
    events += growing.end(reply.usage)
    assert told(events[-1]["response"]) == whole
    assert told({"output": assembled(events)})["output"] == whole["output"]
    assert whole["usage"]["total_tokens"] == reply.usage.total_tokens
    if whole["output"]:
        [again] = asked(whole["output"])
        assert (again.content, again.reasoning or "") == (reply.content, reply.reasoning)
        assert again.tool_calls == reply.tool_calls


def told(response: Any) -> Any:
    """Without ids and times, which no two have in common."""
    return json.loads(
        json.dumps(
            {
                **{name: value for name, value in response.items() if not name.endswith("_at") and name != "id"},
                "output": [{k: v for k, v in item.items() if k != "id"} for item in response["output"]],
            }
        )
    )


def assembled(events: list[Any]) -> list[Any]:
    """The items as a client puts them together from the events alone."""
    items: list[Any] = []
    for event in events:
        kind, place = event["type"].removeprefix("response."), event.get("output_index")
        if kind == "output_item.added":
            assert place == len(items)
            items.append({**event["item"], "content": [], "arguments": ""})
        elif kind == "content_part.added":
            items[place]["content"].append(dict(event["part"]))
        elif kind in ("output_text.delta", "reasoning_text.delta"):
            items[place]["content"][event["content_index"]]["text"] += event["delta"]
        elif kind == "function_call_arguments.delta":
            items[place]["arguments"] += event["delta"]
        elif kind in ("output_text.done", "reasoning_text.done"):
            assert items[place]["content"][event["content_index"]]["text"] == event["text"]
        elif kind == "function_call_arguments.done":
            assert items[place]["arguments"] == event["arguments"]
        elif kind == "output_item.done":
            assert items[place]["id"] == event["item"]["id"]
            unused = {"function_call": "content"}.get(items[place]["type"], "arguments")
            del items[place][unused]
            items[place]["status"] = event["item"]["status"]
            assert items[place] == event["item"]
    return items


def test_a_request_is_repeated_as_it_was() -> None:
    body: Any = {
        "input": "x",
        "tools": [{"type": "function", "name": "f", "strict": False, "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
        "parallel_tool_calls": False,
    }
    facts: AskedFacts = asked_facts(ResponsesRequest.model_validate(body))
    assert facts["tools"] == [{**body["tools"][0], "description": ""}]
    assert facts["tool_choice"] == body["tool_choice"]
    assert facts["text"] == body["text"]
    assert facts["parallel_tool_calls"] is False
