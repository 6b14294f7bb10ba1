"""What is particular to the Ollama daemon."""

from __future__ import annotations

import asyncio
import json

import pytest

from parlant_local.backends.ollama import OllamaBackend, daemon_url
from parlant_local.backends.ollama_context import ContextWatch
from parlant_local.errors import (
    BadRequestError,
    CloudNotAllowedError,
    ContextOverflowError,
    InvalidOutputError,
    StreamInterruptedError,
    TargetDownError,
    TextTooLongError,
    TransientError,
)
from parlant_local.messages import Message, ToolCall
from tests.fakes.http import Fault
from tests.fakes.ollama import FakeOllama

from .conftest import hurry
from .test_contract import FORMAT

TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}},
]


def _chats(server: FakeOllama) -> list[dict]:
    return [request.body for request in server.requests if request.path == "/api/chat"]


async def test_every_call_sends_the_same_num_ctx_so_that_nothing_reloads(
    ollama_fake: FakeOllama, ollama_backend: OllamaBackend
) -> None:
    await asyncio.gather(*(ollama_backend.chat(f"call {n}" * n) for n in range(1, 6)))
    await ollama_backend.complete("text")
    await ollama_backend.chat("hello", response_format=FORMAT, max_tokens=5)
    assert {body["options"]["num_ctx"] for body in _chats(ollama_fake)} == {8192}
    assert ollama_fake.loads == 1
    assert ollama_fake.calls("/api/show") == 1
    assert {body["keep_alive"] for body in _chats(ollama_fake)} == {"30m"}


async def test_a_hung_daemon_costs_a_crowd_one_timeout(ollama_fake: FakeOllama, ollama_backend: OllamaBackend) -> None:
    ollama_fake.always = Fault("hang")
    await hurry(ollama_backend)
    results = await asyncio.gather(*(ollama_backend.chat("hello") for _ in range(12)), return_exceptions=True)
    assert all(isinstance(result, TargetDownError) for result in results)
    assert ollama_fake.calls("/api/show") == 1
    assert ollama_fake.calls("/api/chat") == 0


async def test_the_context_is_the_models_own_up_to_a_bound() -> None:
    async with FakeOllama(context_length=131072) as server, OllamaBackend("m", host=server.url) as backend:
        assert (await backend.check()).n_ctx == 32768
    async with FakeOllama(context_length=2048) as server, OllamaBackend("m", host=server.url) as backend:
        assert (await backend.check()).n_ctx == 2048
    async with FakeOllama() as server, OllamaBackend("m", host=server.url, num_ctx=512) as backend:
        assert (await backend.check()).n_ctx == 512


async def test_a_prompt_that_was_cut_in_silence_is_an_error() -> None:
    async with FakeOllama() as server, OllamaBackend("m", host=server.url, num_ctx=512) as backend:
        assert (await backend.chat("word " * 300)).content
        with pytest.raises(ContextOverflowError) as caught:
            await backend.chat("word " * 600)
        assert caught.value.available == 512
        assert caught.value.needed > 512
        # A stream is known to be cut only when the daemon counts, at its end.
        with pytest.raises(StreamInterruptedError) as interrupted:
            [chunk async for chunk in backend.chat_stream("word " * 600)]
        assert isinstance(interrupted.value.__cause__, ContextOverflowError)


async def test_messages_that_were_dropped_in_silence_are_an_error() -> None:
    async with FakeOllama(drops_messages=True) as server, OllamaBackend("m", host=server.url, num_ctx=1024) as backend:
        with pytest.raises(ContextOverflowError):
            await backend.chat([Message.user("word " * 850), Message.assistant("ok"), Message.user("and now?")])


async def test_a_prompt_that_can_not_fit_is_refused_before_it_is_sent() -> None:
    async with FakeOllama() as server, OllamaBackend("m", host=server.url, num_ctx=512) as backend:
        with pytest.raises(ContextOverflowError, match="NUM_CTX"):
            await backend.chat("word " * 5000)
        assert not _chats(server)


async def test_the_daemons_own_refusal_brings_its_figures() -> None:
    async with FakeOllama(refuses_long=True) as server, OllamaBackend("m", host=server.url, num_ctx=512) as backend:
        with pytest.raises(ContextOverflowError) as caught:
            await backend.chat("word " * 600)
        assert (caught.value.needed, caught.value.available) == (758, 512)


def test_the_watch_learns_the_density_of_long_prompts_only() -> None:
    watch = ContextWatch("x", 8192)
    watch.after(40, 30)  # a short prompt is mostly template
    assert watch.density == 8.0
    watch.after(4000, 1000)
    assert watch.density == pytest.approx(5.2)
    watch.after(16000, 4000)
    with pytest.raises(ContextOverflowError):
        watch.after(40000, 5000)
    watch.after(40000, 0)  # an old daemon that says nothing proves nothing


async def test_a_format_that_the_daemon_ignored_is_an_error_not_an_answer() -> None:
    async with FakeOllama(ignores_format=True) as server, OllamaBackend("m", host=server.url) as backend:
        with pytest.raises(InvalidOutputError):
            await backend.chat("hello", response_format=FORMAT)
        with pytest.raises(InvalidOutputError):
            [chunk async for chunk in backend.chat_stream("hello", response_format=FORMAT)]


@pytest.mark.parametrize(
    ("capabilities", "options", "sent"),
    [
        (("completion",), {}, None),
        (("completion", "thinking"), {}, None),
        (("completion", "thinking"), {"response_format": FORMAT}, False),
        (("completion", "thinking"), {"reasoning": "on"}, True),
        (("completion", "thinking"), {"reasoning": "off"}, False),
        (("completion",), {"reasoning": "off"}, None),
        (("completion", "thinking"), {"reasoning": "always"}, True),
        (("completion",), {"reasoning": "always"}, None),
    ],
)
async def test_think_is_sent_to_models_that_can(
    capabilities: tuple[str, ...], options: dict, sent: bool | None
) -> None:
    async with FakeOllama(capabilities=capabilities) as server, OllamaBackend("m", host=server.url) as backend:
        await backend.chat("hello", **options)
        assert _chats(server)[0].get("think") == sent


async def test_think_can_be_kept_from_families_that_break_on_it() -> None:
    capable = ("completion", "thinking")
    async with (
        FakeOllama(capabilities=capable) as server,
        OllamaBackend("m", host=server.url, send_think=False) as backend,
    ):
        await backend.chat("hello", response_format=FORMAT)
        assert "think" not in _chats(server)[0]


async def test_thoughts_come_apart_from_the_content() -> None:
    async with (
        FakeOllama(capabilities=("completion", "thinking")) as server,
        OllamaBackend("m", host=server.url) as backend,
    ):
        server.thinking = "Let me think."
        reply = await backend.chat("hello", reasoning="on")
        assert reply.reasoning == "Let me think."
        assert reply.content == server.text


async def test_tool_calls_and_their_results_take_ollamas_shape(
    ollama_fake: FakeOllama, ollama_backend: OllamaBackend
) -> None:
    ollama_fake.tool_calls = [("weather", {"city": "Paris"})]
    reply = await ollama_backend.chat("weather?", tools=TOOLS, tool_choice="weather")
    assert reply.tool_calls[0].parsed() == {"city": "Paris"}
    assert reply.finish_reason == "tool_calls"
    assert [tool["function"]["name"] for tool in _chats(ollama_fake)[0]["tools"]] == ["weather"]
    ollama_fake.tool_calls = []
    answered = Message("assistant", tool_calls=(ToolCall("call_0", "weather", '{"city": "Paris"}'),))
    await ollama_backend.chat([Message.user("weather?"), answered, Message("tool", "sunny", tool_call_id="call_0")])
    messages = _chats(ollama_fake)[1]["messages"]
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == {"city": "Paris"}
    assert messages[2]["tool_name"] == "weather"


async def test_a_model_without_tools_or_thoughts_says_so() -> None:
    async with FakeOllama(capabilities=("completion",)) as server, OllamaBackend("m", host=server.url) as backend:
        with pytest.raises(BadRequestError, match="tools"):
            await backend.chat("hello", tools=TOOLS)
        with pytest.raises(BadRequestError, match="reasoning"):
            await backend.chat("hello", reasoning="on")


async def test_a_model_that_is_not_there_is_named(ollama_fake: FakeOllama) -> None:
    async with OllamaBackend("llama9:1b", host=ollama_fake.url) as backend:
        with pytest.raises(TargetDownError, match="llama9:1b"):
            await backend.chat("hello")


async def test_checking_tells_whether_the_model_is_loaded() -> None:
    async with FakeOllama() as server, OllamaBackend("m:latest", host=server.url) as backend:
        assert not (await backend.check()).loaded
        await backend.chat("hello")
        info = await backend.check()
        assert info.loaded
        assert info.memory_bytes == 4_000_000
        assert (info.architecture, info.parameters, info.quantization) == ("llama", 3_000_000, "Q4_K_M")


async def test_texts_too_long_to_embed_are_refused_or_reported(ollama_backend: OllamaBackend) -> None:
    with pytest.raises(TextTooLongError):
        await ollama_backend.embed(["short", "x" * 5000])
    reply = await ollama_backend.embed(["short", "x" * 5000], truncate=True)
    assert reply.truncated == (1,)
    assert len(reply.vectors) == 2


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("localhost:1234", "http://localhost:1234"),
        ("[::1]", "http://[::1]:11434"),
        ("https://ollama.example", "https://ollama.example:443"),
    ],
)
def test_the_daemons_address_is_read_as_ollama_reads_it(host: str | None, expected: str) -> None:
    assert daemon_url(host) == expected


def test_ollama_host_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "10.1.2.3")
    backend = OllamaBackend("m")
    assert backend.base_url == "http://10.1.2.3:11434"
    assert backend.remote


async def test_a_daemon_on_another_host_and_a_cloud_model_are_remote() -> None:
    for backend in (OllamaBackend("m", host="192.0.2.1"), OllamaBackend("gpt-oss:120b-cloud")):
        assert backend.remote
        with pytest.raises(CloudNotAllowedError):
            await backend.chat("hello")


async def test_thoughts_that_stand_in_the_text_come_apart_from_it(
    ollama_fake: FakeOllama, ollama_backend: OllamaBackend
) -> None:
    """Daemons that do not know a model as one that thinks leave its tags in the answer."""
    ollama_fake.text = "<think>\nHm, let me see.\n</think>\n\nParis"
    reply = await ollama_backend.chat("hello")
    assert (reply.content, reply.reasoning) == ("Paris", "Hm, let me see.")
    chunks = [chunk async for chunk in ollama_backend.chat_stream("hello")]
    assert "".join(chunk.delta.content for chunk in chunks) == "Paris"
    assert "".join(chunk.delta.reasoning for chunk in chunks) == "Hm, let me see."
    ollama_fake.text = "<thin"
    chunks = [chunk async for chunk in ollama_backend.chat_stream("hello")]
    assert "".join(chunk.delta.content for chunk in chunks) == "<thin"


async def test_unpaired_surrogates_are_replaced_in_whatever_is_sent(
    ollama_fake: FakeOllama, ollama_backend: OllamaBackend
) -> None:
    bad = "order \ud83d now"
    await ollama_backend.chat(bad, stop=[bad])
    await ollama_backend.complete(bad)
    await ollama_backend.embed([bad])
    sent = [json.dumps(request.body, ensure_ascii=False) for request in ollama_fake.requests]
    assert sum("order \ufffd now" in text for text in sent) == 3
    assert all(text.encode() for text in sent)


@pytest.mark.parametrize("line", [b'{"error": {"message": "no text", "code": 500}}\n', b"[1]\n", b"null\n", b"{}\n"])
async def test_lines_that_are_not_the_daemons_are_a_failure_of_the_other_side(
    line: bytes, ollama_fake: FakeOllama, ollama_backend: OllamaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ollama_backend.check()
    ollama_fake.always = Fault("error_event", after=0)
    monkeypatch.setattr(ollama_fake, "error_line", lambda: line)
    with pytest.raises((TransientError, TargetDownError)):
        await ollama_backend.chat("hello")


@pytest.mark.parametrize("body", ["[1]", '"words"', "<html>", '{"error": {"message": "no text"}}'])
async def test_bodies_that_are_not_the_daemons_are_a_failure_of_the_other_side(
    body: str, ollama_fake: FakeOllama, ollama_backend: OllamaBackend
) -> None:
    await ollama_backend.check()
    ollama_fake.always = Fault("status", 502, body=body)
    with pytest.raises(TransientError):
        await ollama_backend.chat("hello")
    with pytest.raises(TransientError):
        await ollama_backend.embed(["hello"])


async def test_a_bug_of_ours_stays_a_bug(ollama_backend: OllamaBackend) -> None:
    with pytest.raises(TypeError):
        async with ollama_backend._connection.errors():
            raise TypeError("a bug")
    with pytest.raises(TypeError):
        await ollama_backend.chat("hello", response_format={"type": "json_schema", "schema": {"x": object()}})
