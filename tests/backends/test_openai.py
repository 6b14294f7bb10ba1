"""What is particular to endpoints that speak OpenAI's API."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path

import pytest

from parlant_local.backends.openai import OpenAIBackend
from parlant_local.backends.openai_wire import SCHEMA_HEADER, SESSION_HEADER
from parlant_local.call_options import ChatOptions
from parlant_local.errors import (
    AuthenticationError,
    BadRequestError,
    CloudNotAllowedError,
    InvalidOutputError,
    SettingsError,
    TargetDownError,
    TextTooLongError,
    TruncatedOutputError,
)
from parlant_local.messages import Message
from parlant_local.settings import EndpointSettings
from tests.fakes.http import Fault
from tests.fakes.openai import FakeOpenAI

from .conftest import hurry
from .test_contract import FORMAT

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("dialects", "expected"),
    [
        (("json_schema", "json_object"), "json_schema"),
        (("json_object_schema", "json_object"), "json_object_schema"),
        (("json_object",), "json_object"),
        ((), "prompt"),
    ],
)
async def test_the_dialect_is_found_out_once(dialects: tuple[str, ...], expected: str) -> None:
    async with (
        FakeOpenAI(dialects=dialects) as server,
        OpenAIBackend("m", base_url=server.base_url, name="x") as backend,
    ):
        await asyncio.gather(*(backend.chat(f"call {n}", response_format=FORMAT) for n in range(8)))
        assert backend.dialect == expected
        refusals = len(server.requests) - 8
        assert refusals == ["json_schema", "json_object_schema", "json_object", "prompt"].index(expected)
        await backend.chat("again", response_format=FORMAT)
        assert len(server.requests) == 9 + refusals


async def test_a_dialect_that_is_accepted_but_ignored_is_left_too() -> None:
    async with (
        FakeOpenAI(ignores_format=True) as server,
        OpenAIBackend("m", base_url=server.base_url, name="x") as backend,
    ):
        reply = await backend.chat("hello", response_format=FORMAT)
        assert json.loads(reply.content)["capital"] == "Paris"
        assert backend.dialect == "json_object"


async def test_a_stream_finds_the_dialect_too() -> None:
    async with (
        FakeOpenAI(dialects=("json_object",)) as server,
        OpenAIBackend("m", base_url=server.base_url, name="x") as b,
    ):
        chunks = [chunk async for chunk in b.chat_stream("hello", response_format=FORMAT)]
        assert chunks[-1].finish_reason == "stop"
        assert b.dialect == "json_object"


async def test_a_hung_endpoint_costs_a_crowd_two_timeouts_not_one_each(
    openai_fake: FakeOpenAI, openai_backend: OpenAIBackend
) -> None:
    openai_fake.always = Fault("hang")
    await hurry(openai_backend)
    calls = (openai_backend.chat("hello", response_format=FORMAT) for _ in range(12))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, TargetDownError) for result in results)
    assert openai_fake.most_in_flight >= 11, "they waited for one another's time-outs"


async def test_a_named_dialect_is_not_questioned(openai_fake: FakeOpenAI) -> None:
    async with OpenAIBackend("m", base_url=openai_fake.base_url, name="x", dialect="json_object") as backend:
        await backend.chat("hello", response_format=FORMAT)
    assert [request.body["response_format"] for request in openai_fake.requests] == [{"type": "json_object"}]


async def test_a_bad_request_for_another_reason_is_not_asked_again(
    openai_fake: FakeOpenAI, openai_backend: OpenAIBackend
) -> None:
    openai_fake.always = Fault("status", 400, body={"error": {"message": "messages must alternate"}})
    with pytest.raises(BadRequestError):
        await openai_backend.chat("hello", response_format=FORMAT)
    assert len(openai_fake.requests) == 1


async def test_an_answer_that_does_not_fit_is_an_error_that_quotes_nothing(
    openai_fake: FakeOpenAI, openai_backend: OpenAIBackend
) -> None:
    await openai_backend.chat("hello", response_format=FORMAT)
    openai_fake.answer = lambda _body: '{"capital": "a customer\'s secret", "inhabitants": "many", "sights": ["x"]}'
    with pytest.raises(InvalidOutputError) as caught:
        await openai_backend.chat("hello", response_format=FORMAT)
    assert "$.inhabitants" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_cut_structured_answer_is_an_error(openai_fake: FakeOpenAI, openai_backend: OpenAIBackend) -> None:
    openai_fake.finish = "length"
    openai_fake.answer = lambda _body: '{"capital": "Par'
    with pytest.raises(TruncatedOutputError) as caught:
        await openai_backend.chat("hello", response_format=FORMAT, max_tokens=8)
    assert (caught.value.used, caught.value.limit) == (8, 8)


@pytest.mark.parametrize("stream", [False, True])
async def test_options_an_endpoint_refuses_are_left_out_from_then_on(stream: bool) -> None:
    unsupported = ("temperature", "max_tokens", "stream_options")
    async with (
        FakeOpenAI(unsupported=unsupported) as server,
        OpenAIBackend("m", base_url=server.base_url, name="x") as b,
    ):
        for _ in range(2):
            if stream:
                assert [chunk async for chunk in b.chat_stream("hello", temperature=0.1, max_tokens=5)]
            else:
                await b.chat("hello", temperature=0.1, max_tokens=5)
        assert len(server.requests) == 2 + (3 if stream else 2)
        assert "temperature" not in server.requests[-1].body
        assert server.requests[-1].body["max_completion_tokens"] == 5


async def test_only_what_was_asked_for_is_sent(openai_fake: FakeOpenAI, openai_backend: OpenAIBackend) -> None:
    await openai_backend.chat([Message("assistant", "42", reasoning="private thoughts"), Message.user("hello")])
    body = openai_fake.requests[0].body
    assert set(body) == {"model", "messages"}
    assert "private thoughts" not in json.dumps(body)


@pytest.mark.parametrize("affinity", [False, True])
async def test_which_calls_belong_together_is_told_where_the_owner_wants_it(affinity: bool) -> None:
    async with (
        FakeOpenAI() as server,
        OpenAIBackend("m", base_url=server.base_url, name="x", affinity=affinity) as backend,
    ):
        belonging: ChatOptions = {"session": "Anna's 1st – talk", "prefix_group": "Canned/Response Schéma"}
        await backend.chat("one", **belonging)
        async for _ in backend.chat_stream("two", **belonging):
            pass
        await backend.complete("three", **belonging)
        await backend.chat("four")
        told = [
            {name: request.headers.get(name) for name in (SESSION_HEADER, SCHEMA_HEADER)} for request in server.requests
        ]
    digest = hashlib.blake2b("Anna's 1st – talk".encode(), digest_size=16).hexdigest()
    nothing = {SESSION_HEADER: None, SCHEMA_HEADER: None}
    wanted = {SESSION_HEADER: digest, SCHEMA_HEADER: "Canned_Response_Sch_ma"} if affinity else nothing
    assert told == [wanted, wanted, wanted, nothing]


async def test_always_is_on_for_an_endpoint(openai_fake: FakeOpenAI, openai_backend: OpenAIBackend) -> None:
    """It has no way to think in free text first; what this machine's decoder alone can do is not sent at all."""
    await openai_backend.chat("hello", reasoning="always", boolean_bias=1.0)
    body = openai_fake.requests[0].body
    assert body["chat_template_kwargs"] == {"enable_thinking": True}
    assert "boolean_bias" not in body


async def test_thoughts_and_tool_calls_come_apart_from_the_content(
    openai_fake: FakeOpenAI, openai_backend: OpenAIBackend
) -> None:
    openai_fake.reasoning = "Let me think."
    openai_fake.tool_calls = [("weather", '{"city": "Paris"}')]
    reply = await openai_backend.chat("weather?", tools=[TOOL])
    assert reply.reasoning == "Let me think."
    assert reply.tool_calls[0].parsed() == {"city": "Paris"}
    assert reply.finish_reason == "tool_calls"
    chunks = [chunk async for chunk in openai_backend.chat_stream("weather?", tools=[TOOL])]
    assert "".join(chunk.delta.reasoning for chunk in chunks) == "Let me think."
    arguments = "".join(call.arguments for chunk in chunks for call in chunk.delta.tool_calls)
    assert json.loads(arguments) == {"city": "Paris"}
    assert chunks[-1].finish_reason == "tool_calls"


async def test_several_answers_come_as_alternatives(openai_backend: OpenAIBackend) -> None:
    reply = await openai_backend.chat("hello", n=3)
    assert len(reply.choices) == 3


@pytest.mark.parametrize("base64", [True, False])
async def test_embeddings_are_asked_for_in_base64_and_read_either_way(base64: bool) -> None:
    async with (
        FakeOpenAI(base64_embeddings=base64) as server,
        OpenAIBackend("m", base_url=server.base_url, name="x") as b,
    ):
        reply = await b.embed(["abc"])
        assert server.requests[0].body["encoding_format"] == "base64"
        assert reply.vectors[0][0] > 0.7


async def test_a_text_too_long_to_embed_is_an_error(openai_backend: OpenAIBackend) -> None:
    with pytest.raises(TextTooLongError) as caught:
        await openai_backend.embed(["x" * 5000])
    assert caught.value.available == 1000


async def test_missing_usage_is_no_failure() -> None:
    async with (
        FakeOpenAI(sends_usage=False) as server,
        OpenAIBackend("m", base_url=server.base_url, name="x") as backend,
    ):
        assert (await backend.chat("hello")).usage.total_tokens == 0


async def test_reranking_keeps_the_order_of_the_documents(openai_backend: OpenAIBackend) -> None:
    reply = await openai_backend.rerank("q", ["short", "a longer document"])
    assert reply.scores[0] < reply.scores[1]


async def test_checking_learns_the_context_window(openai_backend: OpenAIBackend) -> None:
    assert openai_backend.model_info().n_ctx is None
    assert (await openai_backend.check()).n_ctx == 8192


async def test_checking_a_model_that_is_not_served_names_those_that_are(openai_fake: FakeOpenAI) -> None:
    async with OpenAIBackend("other", base_url=openai_fake.base_url, name="x") as backend:
        with pytest.raises(TargetDownError, match="serves m"):
            await backend.check()


# Secrets, addresses and permission


async def test_the_key_is_sent_and_never_shown(openai_fake: FakeOpenAI) -> None:
    openai_fake.key = "sk-very-secret-key"
    async with OpenAIBackend("m", base_url=openai_fake.base_url, name="x", api_key="sk-very-secret-key") as backend:
        await backend.chat("hello")
        assert "secret" not in repr(backend) + repr(backend.model_info())
    async with OpenAIBackend("m", base_url=openai_fake.base_url, name="x", api_key="sk-wrong-key-here") as backend:
        with pytest.raises(AuthenticationError) as caught:
            await backend.chat("hello")
        assert "sk-" not in str(caught.value)


async def test_openais_key_and_organisation_go_to_no_other_endpoint(
    openai_fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai-only")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-openai-only")
    async with OpenAIBackend("m", base_url=openai_fake.base_url, name="deepseek") as backend:
        await backend.chat("hello")
    headers = openai_fake.requests[0].headers
    assert "openai-only" not in json.dumps(headers)
    assert "openai-organization" not in headers


async def test_openai_takes_its_address_and_key_from_the_environment(
    openai_fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", openai_fake.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-environment")
    async with OpenAIBackend("m") as backend:
        assert not backend.remote
        await backend.chat("hello")
    assert openai_fake.requests[0].headers["authorization"] == "Bearer sk-from-environment"


async def test_openais_key_goes_to_no_other_address(openai_fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai-only")
    async with OpenAIBackend("m", base_url=openai_fake.base_url) as backend:
        await backend.chat("hello")
    assert "openai-only" not in json.dumps(openai_fake.requests[0].headers)


async def test_a_proxy_never_stands_between_this_machine_and_itself(
    openai_fake: FakeOpenAI, openai_backend: OpenAIBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://192.0.2.1:9")
    assert (await openai_backend.chat("hello")).content


async def test_a_remote_endpoint_is_refused_before_a_socket_is_opened() -> None:
    async with OpenAIBackend("gpt-4o", api_key="sk-something") as backend:
        assert backend.remote
        with pytest.raises(CloudNotAllowedError, match="api\\.openai\\.com"):
            await backend.chat("hello")
        with pytest.raises(CloudNotAllowedError):
            await backend.embed(["hello"])
        with pytest.raises(CloudNotAllowedError):
            [chunk async for chunk in backend.chat_stream("hello")]


async def test_openai_without_a_key_says_which_variable_to_set() -> None:
    async with OpenAIBackend("gpt-4o", allow_remote=True) as backend:
        with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
            await backend.chat("hello")


def test_an_endpoints_key_comes_from_its_variable_or_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_KEY", " sk-1 \n")
    endpoint = EndpointSettings(base_url="https://192.0.2.1/v1", api_key_env="DEEPSEEK_KEY")
    assert OpenAIBackend.from_endpoint("deepseek", endpoint, "deepseek-chat")._connection.api_key == "sk-1"
    path = tmp_path / "key"
    path.write_text("sk-2\n")
    endpoint = EndpointSettings(base_url="https://192.0.2.1/v1", api_key_file=str(path))
    assert OpenAIBackend.from_endpoint("deepseek", endpoint, "deepseek-chat")._connection.api_key == "sk-2"
    monkeypatch.delenv("DEEPSEEK_KEY")
    missing = EndpointSettings(base_url="https://192.0.2.1/v1", api_key_env="DEEPSEEK_KEY")
    with pytest.raises(SettingsError, match="DEEPSEEK_KEY"):
        OpenAIBackend.from_endpoint("deepseek", missing, "deepseek-chat")
    os.truncate(path, 0)
    with pytest.raises(SettingsError, match="empty"):
        OpenAIBackend.from_endpoint("deepseek", endpoint, "deepseek-chat")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://x/v1", "http://", "http://user:pass@host/v1", "http://x:99999/v1"]
)
def test_an_address_that_can_not_be_used_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError):
        OpenAIBackend("m", base_url=url, name="x")
