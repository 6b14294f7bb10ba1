"""The ``anthropic`` package drives the server as it would drive Anthropic's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from pydantic import BaseModel

from parlant_local.errors import StallError
from parlant_local.messages import ChatChunk, ChatReply, Delta, ToolCall, ToolCallDelta, Usage
from tests.server.conftest import TINY, Server
from tests.support.eventually import wait_until
from tests.support.in_process import InProcess

from .conftest import Reciter

PARIS: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"temperature": 0}
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    },
}
KEY, ADMIN = "correct-horse-battery-staple", "the-key-of-who-runs-the-place"


class City(BaseModel):
    city: str
    large: bool


@pytest.fixture
def client(server: Server) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="none needed", max_retries=0, timeout=60) as found:
        yield found


def client_of(server: InProcess) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key="none needed", max_retries=0, timeout=60)


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_answers_and_streams_the_same(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": TINY, "max_tokens": 32, "messages": PARIS, "system": "Be brief.", "extra_body": GREEDY}
    whole = client.messages.create(**asked)
    assert text_of(whole)
    assert (whole.type, whole.role, whole.model) == ("message", "assistant", TINY)
    assert whole.stop_reason in ("end_turn", "max_tokens")
    with client.messages.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        last = stream.get_final_message()
    assert text_of(last) == text_of(whole)
    assert last.stop_reason == whole.stop_reason
    assert last.usage.output_tokens == whole.usage.output_tokens > 0
    for usage in (whole.usage, last.usage):
        assert (
            usage.input_tokens + (usage.cache_read_input_tokens or 0)
            == client.messages.count_tokens(model=TINY, messages=PARIS, system="Be brief.").input_tokens
        )
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_a_prompt_that_was_read_is_counted_beside_the_rest(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": TINY, "max_tokens": 1, "messages": [{"role": "user", "content": "Tell me of ships. " * 20}]}
    first, again = (client.messages.create(**asked).usage for _ in range(2))
    assert again.cache_read_input_tokens
    assert again.input_tokens + again.cache_read_input_tokens == first.input_tokens + (
        first.cache_read_input_tokens or 0
    )
    with client.messages.stream(**asked) as stream:
        start = next(event for event in stream if event.type == "message_start")
    assert start.message.usage.cache_read_input_tokens  # known before the answer


def test_the_system_message_may_be_blocks_and_metadata_names_the_user(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    with client_of(server) as client:
        client.messages.create(
            model=TINY,
            max_tokens=8,
            system=[{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}],
            messages=PARIS,
            metadata={"user_id": "anna"},
            stop_sequences=["\n"],
        )
    [(messages, options)] = reciter.asked
    assert [(message.role, message.content) for message in messages] == [
        ("system", "Be brief."),
        ("user", PARIS[0]["content"]),
    ]
    assert options["max_tokens"] == 8
    assert options["stop"] == ["\n"]
    assert options["session"]


def test_stops_at_a_stop_sequence_and_says_which(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": TINY, "max_tokens": 32, "messages": PARIS, "extra_body": GREEDY}
    word = text_of(client.messages.create(**asked)).split()[2]
    cut = client.messages.create(**asked, stop_sequences=["never said", word])
    assert (cut.stop_reason, cut.stop_sequence) == ("stop_sequence", word)
    assert word not in text_of(cut)
    with client.messages.stream(**asked, stop_sequences=[word]) as stream:
        last = stream.get_final_message()
    assert (last.stop_reason, last.stop_sequence, text_of(last)) == ("stop_sequence", word, text_of(cut))


def test_a_final_assistant_message_is_continued(client: anthropic.Anthropic) -> None:
    begun = [*PARIS, {"role": "assistant", "content": "The capital of France"}]
    reply = client.messages.create(model=TINY, max_tokens=16, messages=begun, extra_body=GREEDY)
    assert text_of(reply)
    assert not text_of(reply).startswith("The capital")


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_calls_a_tool_whole_and_streamed(client: anthropic.Anthropic, choice: Any) -> None:
    asked: Any = {
        "model": TINY,
        "max_tokens": 96,
        "messages": PARIS,
        "tools": [WEATHER],
        "tool_choice": choice,
        "extra_body": GREEDY,
    }
    whole = client.messages.create(**asked)
    [call] = whole.content
    assert (call.type, call.name, whole.stop_reason) == ("tool_use", "get_weather", "tool_use")
    assert set(call.input) == {"city"}
    with client.messages.stream(**asked) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        [streamed] = stream.get_final_message().content
    assert streamed.input == json.loads("".join(pieces)) == call.input
    again = [
        *PARIS,
        {"role": "assistant", "content": whole.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "Rain."}]},
    ]
    assert client.messages.create(model=TINY, max_tokens=16, messages=again, tools=[WEATHER]).content


def test_no_tool_is_called_where_none_may_be(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    with client_of(server) as client:
        asked: Any = {"model": TINY, "max_tokens": 8, "messages": PARIS, "tools": [WEATHER]}
        client.messages.create(**asked, tool_choice={"type": "none"})
        client.messages.create(**asked, tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    from parlant_local.call_options import ChatParams

    none, alone = (ChatParams.of(options) for _, options in reciter.asked)
    assert none.tool_choice == "none"
    assert (alone.tool_choice, alone.parallel_tool_calls) == ("auto", False)


def test_structured_output(client: anthropic.Anthropic) -> None:
    reply = client.messages.parse(model=TINY, max_tokens=96, messages=PARIS, output_format=City, extra_body=GREEDY)
    assert isinstance(reply.parsed_output, City)


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 64}}, {"reasoning": "on", "reasoning_tokens": 64}),
        ({"thinking": {"type": "disabled"}}, {"reasoning": "off"}),
        ({"thinking": {"type": "adaptive"}}, {}),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            {"reasoning": "on", "reasoning_tokens": 512},
        ),
        ({"output_config": {"effort": "high"}}, {}),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, {"reasoning": "off"}),
    ],
)
def test_thoughts_are_asked_for(reciting: tuple[InProcess, Reciter], body: Any, options: Any) -> None:
    server, reciter = reciting
    answer = httpx2.post(f"{server.url}/v1/messages", json={"messages": PARIS, "max_tokens": 8, **body})
    assert answer.status_code == 200, answer.text
    [(_, given)] = reciter.asked
    assert {name: value for name, value in given.items() if name.startswith("reasoning")} == options
    unused = "output_config" in body and body.get("thinking", {}).get("type") != "adaptive"
    assert ("output_config.effort" in answer.headers.get("x-parlant-local-ignored", "")) == unused


REPLY = ChatReply(
    "Let me look.",
    "Rain? I don't know.",
    (ToolCall("a", "get_weather", '{"city": "Paris"}'), ToolCall("b", "get_weather", '{"city": "Rome"}')),
    "tool_calls",
    Usage(30, 20, 10, 5),
)
CHUNKS = [
    ChatChunk(Delta(reasoning="Rain? ")),
    ChatChunk(Delta(reasoning="I don't know.")),
    ChatChunk(Delta("Let me ")),
    ChatChunk(Delta("look.")),
    ChatChunk(Delta(tool_calls=(ToolCallDelta(0, "a", "get_weather", ""),))),
    ChatChunk(Delta(tool_calls=(ToolCallDelta(0, None, None, '{"city": '), ToolCallDelta(0, None, None, '"Paris"}')))),
    ChatChunk(Delta(tool_calls=(ToolCallDelta(1, "b", "get_weather", '{"city": "Rome"}'),))),
    ChatChunk(finish_reason="tool_calls", usage=REPLY.usage),
]


def test_thoughts_text_and_calls_are_blocks_of_their_own(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    reciter.reply, reciter.chunks = REPLY, CHUNKS
    with client_of(server) as client:
        asked: Any = {"model": TINY, "max_tokens": 64, "messages": PARIS, "tools": [WEATHER]}
        whole = client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            starts = [event.index for event in stream if event.type == "content_block_start"]
            streamed = stream.get_final_message()
        assert starts == [0, 1, 2, 3]
        for message in (whole, streamed):
            assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
            assert [block.input for block in message.content[2:]] == [{"city": "Paris"}, {"city": "Rome"}]
            assert (message.content[0].thinking, message.content[1].text) == (REPLY.reasoning, REPLY.content)
            assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (20, 10)
            assert message.usage.output_tokens == 20
            assert message.usage.output_tokens_details.thinking_tokens == 5
            assert message.stop_reason == "tool_use"
        client.messages.create(**asked | {"messages": [*PARIS, whole.to_param(), *PARIS]})
    said = reciter.asked[-1][0][1]
    assert said == REPLY.to_message()


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("content_filter", "refusal")],
)
def test_why_an_answer_ended(reciting: tuple[InProcess, Reciter], finish: Any, reason: str) -> None:
    server, reciter = reciting
    # A stop text of the template's own is nobody's stop sequence.
    reciter.reply = ChatReply("x", finish_reason=finish, stopped_by="<|im_end|>")
    reciter.chunks = [ChatChunk(Delta("x")), ChatChunk(finish_reason=finish, stopped_by="<|im_end|>")]
    with client_of(server) as client:
        whole = client.messages.create(model=TINY, max_tokens=4, messages=PARIS, stop_sequences=["y"])
        with client.messages.stream(model=TINY, max_tokens=4, messages=PARIS) as stream:
            streamed = stream.get_final_message()
    assert [(item.stop_reason, item.stop_sequence) for item in (whole, streamed)] == [(reason, None)] * 2


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("[1]", {"input": [1]}),
        ("Paris", {"input": "Paris"}),
        ('{"a": "b', {"a": "b"}),
    ],
)
def test_what_a_model_wrote_as_arguments_is_an_object(
    reciting: tuple[InProcess, Reciter], arguments: str, given: Any
) -> None:
    server, reciter = reciting
    reciter.reply = ChatReply("", tool_calls=(ToolCall("a", "f", arguments),), finish_reason="tool_calls")
    with client_of(server) as client:
        [call] = client.messages.create(model=TINY, max_tokens=4, messages=PARIS).content
    assert call.input == given


@pytest.mark.parametrize(
    ("body", "error", "kind", "said"),
    [
        ({"model": "nobody"}, anthropic.NotFoundError, "not_found_error", "not available"),
        ({"messages": []}, anthropic.UnprocessableEntityError, "invalid_request_error", "messages"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, anthropic.BadRequestError, "invalid_request_error", "web_search_20250305"),
        ({"tool_choice": {"type": "tool", "name": "f"}}, anthropic.BadRequestError, "invalid_request_error", "fits no tool"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}, anthropic.BadRequestError, "invalid_request_error", "document"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}]}]}, anthropic.BadRequestError, "invalid_request_error", "fetched"),
        ({"extra_body": {"temperature": 9}}, anthropic.UnprocessableEntityError, "invalid_request_error", "temperature"),
        ({"extra_body": {"n": 2}}, anthropic.BadRequestError, "invalid_request_error", "n=1"),
        ({"extra_body": {"regex": "a+"}}, anthropic.BadRequestError, "invalid_request_error", "regex"),
        ({"max_tokens": 100_000}, anthropic.BadRequestError, "invalid_request_error", "context"),
        ({"stop_sequences": ["x"] * 17}, anthropic.BadRequestError, "invalid_request_error", "limits.stops"),
        ({"stop_sequences": ["x" * 2000]}, anthropic.BadRequestError, "invalid_request_error", "limits.stop_characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_errors_have_the_clients_form(
    client: anthropic.Anthropic, body: Any, error: type[anthropic.APIStatusError], kind: str, said: str
) -> None:
    for stream in (False, True):
        asked: Any = {"model": TINY, "max_tokens": 4, "messages": PARIS, "stream": stream, **body}
        with pytest.raises(error) as caught:
            client.messages.create(**asked)
        assert caught.value.type == kind
        assert said in str(caught.value.api_message)
        assert caught.value.request_id
        assert caught.value.body["request_id"] == caught.value.request_id  # type: ignore[index]  # a dictionary
        assert set(caught.value.body) == {"type", "error", "request_id"}  # type: ignore[call-overload]  # as above


def test_what_is_wrong_before_a_route_has_its_form_too(server: Server) -> None:
    with httpx2.Client(base_url=server.url, timeout=30) as http:
        answers = [
            http.post("/v1/messages", content=b"{", headers={"content-type": "application/json"}),
            http.post("/v1/messages", content=b"[" * 200, headers={"content-type": "application/json"}),
            http.post("/v1/messages", json=[]),
            http.get("/v1/messages"),
            http.post("/v1/messages/batches", json={}),
            http.post("/v1/messages", json={}, headers={"host": "evil.example"}),
            http.post("/v1/messages", json={}, headers={"origin": "https://evil.example"}),
        ]
        other = http.post("/v1/messagesx", json={})
    assert [answer.status_code for answer in answers] == [400, 400, 422, 405, 404, 403, 403]
    for answer in answers:
        body = answer.json()
        assert body["type"] == "error"
        assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]
    assert set(other.json()) == {"error"}
    assert "request-id" not in other.headers


def test_an_error_amid_a_stream_is_an_event(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    reciter.chunks = [ChatChunk(Delta("Once")), StallError("No token for 60 s.")]
    with (
        client_of(server) as client,
        client.messages.stream(model=TINY, max_tokens=4, messages=PARIS) as stream,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        list(stream)
    assert caught.value.type == "timeout_error"
    assert "No token" in str(caught.value.body)


def test_who_waits_is_pinged(here: Callable[..., InProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    server = here(**{"server.keep_alive_seconds": 0.05})

    class Slow(Reciter):
        async def chat_stream(self, messages: Any, **options: Any) -> Any:
            await asyncio.sleep(0.5)
            yield ChatChunk(Delta("x"))
            yield ChatChunk(finish_reason="stop", usage=Usage(1, 1))

    async def found(name: str | None) -> Any:
        return "slow", Slow()

    monkeypatch.setattr(server.context.models, "backend", found)
    body = {"messages": PARIS, "max_tokens": 4, "stream": True}
    told = httpx2.post(f"{server.url}/v1/messages", json=body).text
    assert 'event: ping\ndata: {"type":"ping"}\n\n' in told
    assert ": waiting" not in told
    with client_of(server) as client, client.messages.stream(model="slow", max_tokens=4, messages=PARIS) as stream:
        assert text_of(stream.get_final_message()) == "x"


def test_a_key_is_taken_as_the_client_sends_it(tmp_path: Path, here: Callable[..., InProcess]) -> None:
    (tmp_path / "keys").write_text(f"anna:{KEY}\n")
    (tmp_path / "admins").write_text(f"boss:{ADMIN}\n")
    server = here(**{"auth.key_file": str(tmp_path / "keys"), "auth.admin_key_file": str(tmp_path / "admins")})
    asked: Any = {"model": TINY, "max_tokens": 1, "messages": PARIS}
    for given in ({"api_key": KEY}, {"auth_token": KEY}):
        with anthropic.Anthropic(base_url=server.url, max_retries=0, **given) as client:  # type: ignore[arg-type]  # two fields
            assert client.messages.create(**asked).usage.output_tokens == 1
    with (
        anthropic.Anthropic(base_url=server.url, api_key="wrong-key-wrong-key", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        client.messages.create(**asked)
    assert caught.value.type == "authentication_error"
    assert httpx2.get(f"{server.url}/api/status", headers={"x-api-key": KEY}).status_code == 403
    assert httpx2.get(f"{server.url}/api/status", headers={"x-api-key": ADMIN}).status_code == 200

    def clients() -> set[str]:
        return {line["client"] for line in server.log if line.get("status") == 200 and "client" in line}

    wait_until(lambda: {"anna", "boss"} <= clients())  # a request is logged after its answer


def test_history_metrics_and_ignored_fields_hold(server: Server) -> None:
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        body = {
            "model": TINY,
            "max_tokens": 3,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "e"}}]}],
            "service_tier": "auto",
            "metadata": {"user_id": "u", "more": 1},
        }
        answer = http.post("/v1/messages", json=body, headers={"x-request-id": "the-message"})
        assert answer.headers["x-parlant-local-ignored"].split(", ") == [
            "service_tier",
            "messages.content.cache_control",
            "metadata.more",
        ]
        record = next(item for item in http.get("/api/requests").json()["requests"] if item["id"] == "the-message")
        assert (record["path"], record["completion_tokens"], record["finish"]) == ("/v1/messages", 3, "length")
        assert record["session"]
        assert 'route="/v1/messages"' in http.get("/metrics").text


def test_pictures_are_not_counted_by_guessing(client: anthropic.Anthropic) -> None:
    picture: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    with pytest.raises(anthropic.BadRequestError, match="pictures"):
        client.messages.count_tokens(model=TINY, messages=[{"role": "user", "content": [picture]}])


def test_tokens_of_a_model_elsewhere_are_estimated(reciting: tuple[InProcess, Reciter]) -> None:
    server, _ = reciting
    with client_of(server) as client:
        short, long = (
            client.messages.count_tokens(
                model="m", messages=[{"role": "user", "content": "word " * count}]
            ).input_tokens
            for count in (1, 100)
        )
    assert 0 < short < long
