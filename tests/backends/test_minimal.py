"""A backend of somebody else's, with two methods, is enough for Parlant and for the server."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import openai
import pytest
from pydantic import BaseModel

from parlant_local.backends import Backend, ModelInfo, WrapperBackend
from parlant_local.backends.sync import SyncBackend
from parlant_local.errors import BadRequestError, TruncatedOutputError, UnsupportedCallError
from parlant_local.messages import ChatReply, ToolCall
from parlant_local.nlp import LocalNLPService
from parlant_local.observability import NullLogger
from parlant_local.server.models import Models
from parlant_local.settings import Settings
from parlant_local.switching import RoutedBackend, Target
from tests.support.in_process import serving_here

from .minimal import ListBackend


class City(BaseModel):
    name: str
    inhabitants: int


PARIS = '{"name": "Paris", "inhabitants": 2100000}'


def target(backend: Backend) -> Target:
    return Target("house/list", lambda: backend, info=backend.model_info())


async def test_parlants_generators_answer_with_it() -> None:
    backend = ListBackend(PARIS, "Good morning.")
    service = LocalNLPService(backend, settings=Settings(), logger=NullLogger())
    generator = await service.get_schematic_generator(City)
    result = await generator.generate("Tell me about Paris.")
    assert result.content == City(name="Paris", inhabitants=2_100_000)
    stream, _ = await (await service.get_streaming_text_generator()).do_generate("Greet.")
    assert "".join([piece async for piece in stream if piece]).strip() == "Good morning."
    assert (await (await service.get_embedder()).embed(["a"])).vectors  # lexical: it has no embedding of its own
    await service.close()


async def test_an_answer_that_does_not_fit_is_asked_again_like_any_other() -> None:
    backend = ListBackend('{"name": "Paris"}', PARIS)
    service = LocalNLPService(backend, settings=Settings(), logger=NullLogger())
    result = await (await service.get_schematic_generator(City)).generate("Tell me about Paris.")
    assert result.content.inhabitants == 2_100_000
    assert len(backend.asked) == 2


async def test_the_server_serves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = ListBackend("from the list", "in one piece")
    resolved = Models._target
    monkeypatch.setattr(
        Models, "_target", lambda self, name: target(backend) if name == "house/list" else resolved(self, name)
    )
    settings = Settings.load(
        None, home=tmp_path, endpoints={"house": {"base_url": "http://127.0.0.1:9/v1"}}, model="house/list"
    )
    server = serving_here(settings)
    running = await asyncio.to_thread(server.__enter__)
    try:
        async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="x", max_retries=0) as client:
            asked = {"model": "house/list", "messages": [{"role": "user", "content": "hello"}]}
            whole = await client.chat.completions.create(**asked)  # type: ignore[call-overload]  # a dictionary
            assert whole.choices[0].message.content == "from the list"
            stream = await client.chat.completions.create(**asked, stream=True)  # type: ignore[call-overload]  # the same
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
            assert "".join(pieces) == "in one piece"
            with pytest.raises(openai.BadRequestError, match="can serve this call"):
                await client.completions.create(model="house/list", prompt="Once")
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
    assert backend.asked == ["hello", "hello"]


async def test_what_it_can_not_do_is_one_typed_error_with_a_next_step() -> None:
    backend = ListBackend()
    calls = [
        lambda: backend.complete("x"),
        lambda: anext(backend.complete_stream("x")),
        lambda: backend.embed(["x"]),
        lambda: backend.rerank("x", ["y"]),
        lambda: backend.tokenize("x"),
    ]
    for call in calls:
        with pytest.raises(UnsupportedCallError, match="house/list can't") as caught:
            await call()
        assert caught.value.hint
        assert isinstance(caught.value, BadRequestError)


async def test_a_call_that_one_target_can_not_make_is_another_ones() -> None:
    class Completing(ListBackend):
        async def complete(self, prompt: object, **options: object) -> ChatReply:
            return ChatReply("upon a time", model="house/other")

        def model_info(self) -> ModelInfo:
            return ModelInfo("house/other")

    class Silent(ListBackend):
        def model_info(self) -> ModelInfo:
            return ModelInfo("house/silent")  # says nothing of what it can do

    async with RoutedBackend([Target("silent", Silent), Target("other", Completing)]) as routed:
        assert (await routed.complete("Once")).content == "upon a time"
        assert routed.stats()["targets"]["silent"]["breaker"] == "closed"


async def test_an_answer_in_one_piece_has_everything_a_stream_ends_with() -> None:
    call = ToolCall("1", "weather", '{"city": "Paris"}')
    whole = ChatReply(
        "", reasoning="so", tool_calls=(call,), finish_reason="tool_calls", alternatives=(ChatReply("the other"),)
    )

    class Fixed(ListBackend):
        async def chat(self, messages: object, **options: object) -> ChatReply:
            return whole

    first, second = [chunk async for chunk in Fixed().chat_stream("x")]
    (delta,) = first.delta.tool_calls
    assert (delta.index, delta.id, delta.name, delta.arguments) == (0, call.id, call.name, call.arguments)
    assert (first.delta.reasoning, first.finish_reason, first.index) == ("so", "tool_calls", 0)
    assert first.usage is not None
    assert (second.delta.content, second.index) == ("the other", 1)


async def test_an_answer_that_was_cut_streams_as_far_as_it_came() -> None:
    class Cut(ListBackend):
        async def chat(self, messages: object, **options: object) -> ChatReply:
            error = TruncatedOutputError("cut", used=3, limit=3)
            error.answer = ChatReply('{"na', finish_reason="length")
            raise error

    (chunk,) = [chunk async for chunk in Cut().chat_stream("x")]
    assert (chunk.delta.content, chunk.finish_reason) == ('{"na', "length")


class Closing(ListBackend):
    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.closed = threading.Event()
        self.where: str | None = None

    async def close(self) -> None:
        self.where = threading.current_thread().name
        self.closed.set()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("wrap", [False, True])
def test_closing_now_needs_no_loop(wrap: bool) -> None:
    backend = Closing()
    (WrapperBackend(backend) if wrap else backend).close_now()
    assert backend.closed.is_set()


async def test_closing_now_is_done_where_a_loop_runs_too_and_tells_what_went_wrong() -> None:
    backend = Closing()
    backend.close_now()
    assert backend.where == "parlant-local-close"
    with pytest.raises(OSError, match="no"):
        Closing(OSError("no")).close_now()


async def test_letting_go_raises_nothing_and_waits_for_nothing() -> None:
    backend = Closing(UnsupportedCallError("no"))
    WrapperBackend(backend).release()
    assert await asyncio.to_thread(backend.closed.wait, 10)


def test_scripts_have_it_without_a_loop() -> None:
    with SyncBackend(ListBackend("one", "two")) as backend:
        assert backend.chat("hello").content == "one"
        assert [chunk.delta.content for chunk in backend.chat_stream("hello")] == ["two"]
        with pytest.raises(UnsupportedCallError):
            backend.complete("x")
