"""The ``openai`` package's responses, against a running server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from parlant_local.errors import StallError
from parlant_local.messages import ChatChunk, ChatReply, Delta, Message, TokenLogprob, ToolCall, Usage
from tests.server.conftest import TINY, Server
from tests.support.in_process import InProcess

from .conftest import Reciter
from .test_messages import ADMIN, CHUNKS, KEY, REPLY

PARIS = "What is the capital of France?"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
OTHER = "another-key-of-a-colleague"
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


class City(BaseModel):
    city: str
    large: bool


def client_of(server: Any, key: str = "none needed") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with client_of(server) as found:
        yield found


def events_of(server: Any, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream as they are sent, each valid as the client's own type of it."""
    told = httpx2.post(f"{server.url}/v1/responses", json={"input": PARIS, "stream": True, **body}, timeout=60).text
    found = []
    for event in told.strip().split("\n\n"):
        head, data = event.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert head == f"event: {value['type']}"
        EVENT.validate_python(value)
        found.append(value)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def test_answers_and_streams_the_same(client: openai.OpenAI, server: Server) -> None:
    asked: Any = {"model": TINY, "input": PARIS, "instructions": "Be brief.", "temperature": 0}
    whole = client.responses.create(**asked, max_output_tokens=32)
    assert whole.output_text
    assert (whole.status, whole.model, whole.object, whole.instructions) == ("completed", TINY, "response", "Be brief.")
    Response.model_validate(whole.to_dict(), strict=False)
    with client.responses.stream(**asked, max_output_tokens=32) as stream:
        kinds = [event.type for event in stream]
        last = stream.get_final_response()
    assert last.output_text == whole.output_text
    assert last.usage == whole.usage.model_copy(update={"input_tokens_details": last.usage.input_tokens_details})  # type: ignore[union-attr]  # there is one
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert events_of(server, model=TINY, temperature=0)[-1]["response"]["status"] == "completed"
    counted = client.responses.input_tokens.count(model=TINY, input=PARIS, instructions="Be brief.")
    assert counted.input_tokens == whole.usage.input_tokens  # type: ignore[union-attr]  # as above


def test_a_conversation_goes_on_by_its_id(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    reciter.reply = ChatReply("Paris.", "Easy.")
    with client_of(server) as client:
        first = client.responses.create(model="m", input=PARIS, instructions="Be brief.")
        second = client.responses.create(model="m", input="And of Italy?", previous_response_id=first.id)
        assert second.previous_response_id == first.id
        reciter.chunks = [ChatChunk(Delta("Rome.")), ChatChunk(finish_reason="stop")]
        with client.responses.stream(model="m", input="So?", previous_response_id=second.id) as stream:
            third = stream.get_final_response()
        client.responses.create(model="m", input="Thanks.", previous_response_id=third.id)
        client.responses.delete(first.id)
        client.responses.create(model="m", input="Thanks.", previous_response_id=third.id)
    answer = Message("assistant", "Paris.", reasoning="Easy.")
    asked = [list(messages) for messages, _ in reciter.asked]
    whole = [
        Message.user(PARIS),
        answer,
        Message.user("And of Italy?"),
        answer,
        Message.user("So?"),
        Message.assistant("Rome."),
        Message.user("Thanks."),
    ]
    assert asked[0] == [Message.system("Be brief."), Message.user(PARIS)]
    assert asked[1:] == [whole[:3], whole[:5], whole, whole]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_calls_a_function_whole_and_streamed(client: openai.OpenAI, choice: Any) -> None:
    asked: Any = {"model": TINY, "input": PARIS, "tools": [WEATHER], "tool_choice": choice, "temperature": 0}
    whole = client.responses.create(**asked)
    [call] = whole.output
    assert (call.type, call.name, call.status) == ("function_call", "get_weather", "completed")
    with client.responses.stream(**asked) as stream:
        pieces = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        [streamed] = stream.get_final_response().output
    assert "".join(pieces) == streamed.arguments == call.arguments
    assert set(json.loads(call.arguments)) == {"city"}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
    by_id = client.responses.create(
        model=TINY, input=[result], previous_response_id=whole.id, tools=[WEATHER], max_output_tokens=16, temperature=0
    )
    by_hand = client.responses.create(
        model=TINY,
        input=[{"role": "user", "content": PARIS}, call.to_dict(), result],
        tools=[WEATHER],
        max_output_tokens=16,
        temperature=0,
    )
    assert by_id.output_text == by_hand.output_text
    assert by_id.usage.input_tokens == by_hand.usage.input_tokens  # type: ignore[union-attr]  # there is one


def test_structured_output(client: openai.OpenAI) -> None:
    parsed = client.responses.parse(model=TINY, input=PARIS, text_format=City, temperature=0)
    assert isinstance(parsed.output_parsed, City)
    loose = client.responses.create(
        model=TINY, input=PARIS, text={"format": {"type": "json_object"}}, max_output_tokens=200, temperature=0
    )
    assert loose.status == "incomplete" or isinstance(json.loads(loose.output_text), dict)
    with client.responses.stream(model=TINY, input=PARIS, text_format=City, temperature=0) as stream:
        assert isinstance(stream.get_final_response().output_parsed, City)


def test_what_is_cut_is_incomplete(client: openai.OpenAI) -> None:
    asked: Any = {"model": TINY, "input": "Tell me a long story.", "max_output_tokens": 2, "temperature": 0}
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
    assert (whole.status, whole.incomplete_details.reason) == ("incomplete", "max_output_tokens")  # type: ignore[union-attr]  # there are
    assert whole.output[0].status == "incomplete"  # type: ignore[union-attr]  # a message
    assert kinds[-1] == "response.incomplete"


def test_thoughts_text_and_calls_are_items_of_their_own(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    reciter.reply, reciter.chunks = REPLY, CHUNKS
    with client_of(server) as client:
        asked: Any = {"model": "m", "input": PARIS, "tools": [WEATHER]}
        whole = client.responses.create(**asked)
        streamed = events_of(server)[-1]["response"]
        client.responses.create(
            model="m", input=[{"role": "user", "content": PARIS}, *whole.output, {"role": "user", "content": "So?"}]
        )
    for output in (whole.to_dict()["output"], streamed["output"]):
        thought, said, *calls = output  # type: ignore[misc]  # a list
        assert (thought["type"], thought["content"][0]["text"]) == ("reasoning", REPLY.reasoning)
        assert (said["type"], said["content"][0]["text"]) == ("message", REPLY.content)
        assert [(call["call_id"], call["arguments"]) for call in calls] == [
            (call.id, call.arguments) for call in REPLY.tool_calls
        ]
    assert streamed["usage"]["output_tokens_details"] == {"reasoning_tokens": 5}
    assert streamed["usage"]["input_tokens_details"]["cached_tokens"] == 10
    assert reciter.asked[-1][0] == (Message.user(PARIS), REPLY.to_message(), Message.user("So?"))


def test_log_probabilities(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    logged = (TokenLogprob("Pa", -0.5, b"Pa", (("Pa", -0.5), ("Lo", -1.0))), TokenLogprob("ris", -0.1, b"ris"))
    reciter.reply = ChatReply("Paris", logprobs=logged)
    reciter.chunks = [
        ChatChunk(Delta("Pa"), logprobs=logged[:1]),
        ChatChunk(Delta("ris"), logprobs=logged[1:]),
        ChatChunk(finish_reason="stop"),
    ]
    with client_of(server) as client:
        whole = client.responses.create(
            model="m", input=PARIS, include=["message.output_text.logprobs"], top_logprobs=2
        )
    tokens = [item.token for item in whole.output[0].content[0].logprobs]  # type: ignore[union-attr]  # a message
    assert tokens == ["Pa", "ris"]
    events = events_of(server, top_logprobs=2)
    told = [event["logprobs"] for event in events if event["type"] == "response.output_text.delta"]
    assert [[item["token"] for item in items] for items in told] == [["Pa"], ["ris"]]
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"][0]["top_logprobs"][1]["token"] == "Lo"
    assert [options["logprobs"] for _, options in reciter.asked] == [2, 2]


def test_what_is_kept_is_found_again_listed_and_forgotten(client: openai.OpenAI) -> None:
    given: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": PARIS}]},
        {"role": "assistant", "content": "Paris."},
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "Rain."},
    ]
    made = client.responses.create(model=TINY, input=given, max_output_tokens=4, metadata={"a": "b"})
    found = client.responses.retrieve(made.id)
    assert found.to_dict() == made.to_dict()
    assert found.metadata == {"a": "b"}
    items = [item.to_dict() for item in client.responses.input_items.list(made.id, order="asc", limit=2)]
    assert [item["type"] for item in items] == ["message"] * 3 + ["function_call", "function_call_output"]
    assert items[0]["content"] == [{"type": "input_text", "text": "Be brief."}]
    assert items[2]["content"] == [{"type": "output_text", "text": "Paris."}]
    assert len({item["id"] for item in items}) == 5
    newest = client.responses.input_items.list(made.id, limit=1)
    assert newest.data[0].type == "function_call_output"
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(made.id)
    client.responses.delete(made.id)
    for gone in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match=r"responses\.max_count"):
            gone(made.id)
    unkept = client.responses.create(model=TINY, input=PARIS, max_output_tokens=1, store=False)
    assert unkept.store is False  # type: ignore[attr-defined]  # sent, though the client has no field for it
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=TINY, input=PARIS, previous_response_id=unkept.id)


def test_keys_keep_their_own(tmp_path: Path, here: Callable[..., InProcess]) -> None:
    (tmp_path / "keys").write_text(f"{KEY}\nben:{OTHER}\n")
    (tmp_path / "admins").write_text(f"{ADMIN}\n")  # "line 1" of both files
    server = here(**{"auth.key_file": str(tmp_path / "keys"), "auth.admin_key_file": str(tmp_path / "admins")})
    with client_of(server, KEY) as client:
        made = client.responses.create(model=TINY, input=PARIS, max_output_tokens=1)
    for key in (OTHER, ADMIN):
        with client_of(server, key) as client:
            for ask in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
                with pytest.raises(openai.NotFoundError):
                    ask(made.id)
            with pytest.raises(openai.NotFoundError):
                client.responses.create(model=TINY, input=PARIS, previous_response_id=made.id)
    with client_of(server, KEY) as client:
        assert client.responses.retrieve(made.id).id == made.id


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "custom", "name": "f"}]}, "custom"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "mcp"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"tool_choice": "required"}, "fits no tool"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "previous_response_id"),
        ({"prompt": {"id": "p"}}, "OpenAI's own"),
        ({"input": []}, "empty"),
        ({"input": None}, "empty"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "item_reference"),
        ({"input": [{"type": "computer_call_output", "output": {}}]}, "computer_call_output"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x.example/a.png"}]}]}, "fetched"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input_file"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "schema"),
        ({"n": 2}, "n=1"),
        ({"max_output_tokens": 100_000}, "context"),
        ({"previous_response_id": "resp_none"}, "responses.max_count"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"temperature": "hot"}, "temperature"),
        ({"input": [{"role": "user", "content": "x"}] * 1100}, "limits.messages"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}] * 5000}]}, "limits.parts"),
        ({"input": [{"type": "function_call", "name": "f", "call_id": "c", "arguments": "[" + "0," * 500_000}]}, "limits.body_values"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_refused_is_refused_in_words(client: openai.OpenAI, body: Any, said: str) -> None:
    asked: Any = {"model": TINY, "input": PARIS, **body}
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            client.responses.create(
                model=TINY, input="x", extra_body={"input": PARIS, **asked}, stream=stream, max_output_tokens=4
            ) if "max_output_tokens" not in body else client.responses.create(**asked, stream=stream)
        assert caught.value.status_code in (400, 404, 422)
        assert said in caught.value.message


def test_an_error_amid_a_stream_is_told_and_ends_it(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    reciter.chunks = [ChatChunk(Delta("Once")), StallError("No token for 60 s.")]
    *_, error, failed = events_of(server)
    assert (error["type"], error["code"], failed["type"]) == ("error", "stalled", "response.failed")
    assert "No token" in failed["response"]["error"]["message"]
    with client_of(server) as client, pytest.raises(openai.NotFoundError):
        client.responses.retrieve(failed["response"]["id"])


def test_fields_that_say_nothing_are_reported(server: Server) -> None:
    body = {
        "model": TINY,
        "max_output_tokens": 1,
        "service_tier": "auto",
        "truncation": "auto",
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"summary": "auto"},
        "text": {"verbosity": "low"},
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "more": 1}]}],
    }
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        answer = http.post("/v1/responses", json=body, headers={"x-request-id": "the-response"})
        told = set(answer.headers["x-parlant-local-ignored"].split(", "))
        assert told == {
            "service_tier",
            "truncation",
            "include.reasoning.encrypted_content",
            "reasoning.summary",
            "text.verbosity",
            "input.content.more",
        }
        record = next(item for item in http.get("/api/requests").json()["requests"] if item["id"] == "the-response")
        assert (record["path"], record["completion_tokens"]) == ("/v1/responses", 1)


def test_options_reach_the_call(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    with client_of(server) as client:
        client.responses.create(
            model="m",
            input=PARIS,
            reasoning={"effort": "low"},
            tools=[WEATHER],
            tool_choice={
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "get_weather"}],
            },
            parallel_tool_calls=False,
            safety_identifier="anna",
            max_output_tokens=7,
            top_p=0.5,
            extra_body={"min_p": 0.1, "seed": 3},
        )
    [(_, options)] = reciter.asked
    wanted = {"reasoning": "on", "reasoning_tokens": 512, "max_tokens": 7, "top_p": 0.5, "min_p": 0.1, "seed": 3}
    assert {name: options[name] for name in wanted} == wanted
    assert options["parallel_tool_calls"] is False
    assert options["session"]


def test_usage_is_the_engines(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    reciter.reply = ChatReply("x", tool_calls=(ToolCall("", "f", "{}"),), usage=Usage(9, 4, 3, 2))
    with client_of(server) as client:
        made = client.responses.create(model="m", input=PARIS)
    assert made.usage is not None
    assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens) == (9, 4, 13)
    assert made.output[1].call_id  # type: ignore[union-attr]  # a call, whose model gave it no id
