"""Calls as spans and figures: what the conventions ask for, nothing of what was said unless that is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from pytest_genai_semconv import spec
from pytest_genai_semconv.assertions import assert_genai_span_compliant
from pytest_genai_semconv.plugin import GenAISpanCollector

from parlant_local.backends import Backend
from parlant_local.backends.base import ModelInfo
from parlant_local.backends.in_process import InProcessBackend
from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.backends.observing import observe, observed, observed_stream
from parlant_local.errors import BadRequestError, ParlantLocalError
from parlant_local.messages import ChatChunk, ChatReply, Delta, Timings, Usage
from parlant_local.settings import EngineSettings, Settings
from parlant_local.telemetry.calls import CallObserver
from parlant_local.telemetry.naming import IN_PROCESS, provider_of, server_of
from tests.support.places import TINY

QUESTION = "What is the capital of France?"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr("opentelemetry.metrics.get_meter", provider.get_meter)
    yield reader
    provider.shutdown()


@pytest.fixture
def told(
    genai_spans: GenAISpanCollector, figures: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GenAISpanCollector]:
    # The judge knows clouds only; the conventions allow a name of one's own.
    providers = spec.PROVIDER_NAMES | {IN_PROCESS, "ollama"}
    monkeypatch.setitem(spec.ENUM_ATTRIBUTES, "gen_ai.provider.name", frozenset(providers))
    observe(CallObserver())
    yield genai_spans
    observe(None)


def _only(spans: GenAISpanCollector) -> tuple[ReadableSpan, dict[str, Any]]:
    (span,) = spans.finished_spans()
    assert_genai_span_compliant(span)
    spans.clear()
    return span, dict(span.attributes or {})


@pytest.fixture
async def tiny(tmp_path: Any) -> AsyncGenerator[LlamaCppBackend, None]:
    settings = Settings(home=tmp_path, engine=EngineSettings(n_ctx=1024, n_threads=1))
    async with LlamaCppBackend(TINY, settings=settings) as backend:
        yield backend


def _recorded(figures: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = figures.get_metrics_data()
    assert data is not None
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


async def test_an_answer_of_this_process(
    told: GenAISpanCollector, figures: InMemoryMetricReader, tiny: LlamaCppBackend
) -> None:
    reply = await tiny.chat(QUESTION, temperature=0, max_tokens=24, session="s-1", stop=["\n"])
    span, about = _only(told)
    name = tiny.model_info().id
    assert (span.name, span.kind) == (f"chat {name}", SpanKind.INTERNAL)
    assert about["gen_ai.provider.name"] == IN_PROCESS
    assert about["gen_ai.request.temperature"] == 0.0
    assert about["gen_ai.request.stop_sequences"] == ("\n",)
    assert about["gen_ai.conversation.id"] == "s-1"
    assert about["gen_ai.usage.input_tokens"] == reply.usage.prompt_tokens
    assert about["gen_ai.usage.output_tokens"] == reply.usage.completion_tokens
    assert about["gen_ai.response.finish_reasons"] == ("stop",)
    assert about["gen_ai.response.time_to_first_chunk"] > 0
    assert "France" not in str(about)
    recorded = _recorded(figures)
    assert set(recorded) == {
        "gen_ai.client.token.usage",
        "gen_ai.server.request.duration",
        "gen_ai.server.time_to_first_token",
        "gen_ai.server.time_per_output_token",
    }
    counted = {point.attributes["gen_ai.token.type"]: point.sum for point in recorded["gen_ai.client.token.usage"]}
    assert counted == {"input": reply.usage.prompt_tokens, "output": reply.usage.completion_tokens}


async def test_streams_completions_and_vectors(told: GenAISpanCollector, tiny: LlamaCppBackend) -> None:
    chunks = [chunk async for chunk in tiny.chat_stream(QUESTION, temperature=0, max_tokens=24)]
    _, about = _only(told)
    assert about["gen_ai.request.stream"] is True
    assert about["gen_ai.usage.output_tokens"] == chunks[-1].usage.completion_tokens  # type: ignore[union-attr]

    await tiny.complete("The capital", temperature=0, max_tokens=2)
    span, about = _only(told)
    assert span.name.startswith("text_completion ")
    assert about["gen_ai.response.finish_reasons"] == ("length",)

    vectors = await tiny.embed(["one", "two"])
    _, about = _only(told)
    assert about["gen_ai.embeddings.dimension.count"] == vectors.dimensions

    await tiny.rerank("one", ["two", "three"])
    assert _only(told)[1]["gen_ai.operation.name"] == "retrieval"


async def test_the_schema_of_a_call_is_named_and_its_output_is_json(
    told: GenAISpanCollector, tiny: LlamaCppBackend
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    await tiny.chat("Yes?", response_format=form, prefix_group="MatchingSchema", max_tokens=32)
    about = _only(told)[1]
    assert about["gen_ai.output.type"] == "json"
    assert about["parlant_local.schema"] == "MatchingSchema"


async def test_options_of_any_type_reach_the_call_which_says_what_is_wrong(
    told: GenAISpanCollector, tiny: LlamaCppBackend
) -> None:
    odd: dict[str, Any] = {
        "temperature": "warm", "top_k": 1.5, "seed": True, "stop": [1], "n": "two", "response_format": {"type": "object"},
        "session": 4, "max_tokens": None,
    }  # fmt: skip
    for name, value in odd.items():
        with contextlib.suppress(ParlantLocalError):
            await tiny.chat("Yes?", **{"max_tokens": 1, name: value})
    for span in told.finished_spans():
        assert_genai_span_compliant(span)
    assert len(told.finished_spans()) == len(odd)


async def test_content_is_told_only_where_it_is_wanted(genai_spans: GenAISpanCollector, tiny: LlamaCppBackend) -> None:
    observe(CallObserver(content=True))
    try:
        reply = await tiny.chat([{"role": "user", "content": QUESTION}], temperature=0, max_tokens=24)
        async for _ in tiny.chat_stream(iter([{"role": "user", "content": QUESTION}]), temperature=0, max_tokens=24):
            pass
    finally:
        observe(None)
    whole, streamed = (dict(span.attributes or {}) for span in genai_spans.finished_spans())
    asked = json.loads(str(whole["gen_ai.input.messages"]))
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": QUESTION}]}]
    answered = json.loads(str(whole["gen_ai.output.messages"]))
    assert answered == [
        {"role": "assistant", "parts": [{"type": "text", "content": reply.content}], "finish_reason": "stop"}
    ]
    assert streamed["gen_ai.output.messages"] == whole["gen_ai.output.messages"]
    assert streamed["gen_ai.input.messages"] == "[]"  # an iterator is the call's own


class Scripted(InProcessBackend):
    def __init__(self, *chunks: ChatChunk | BaseException) -> None:
        self._chunks = chunks
        self.closed = False

    def model_info(self) -> ModelInfo:
        return ModelInfo("local/llama/scripted")

    @property
    def engine(self) -> Any:
        raise NotImplementedError

    async def render(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    @observed("chat")
    async def chat(self, messages: Any, **options: Any) -> ChatReply:
        for chunk in self._chunks:
            if isinstance(chunk, BaseException):
                raise chunk
        return ChatReply("yes", model="m", usage=Usage(1, 2), timings=Timings(decode=0.5))

    @observed_stream("chat")
    async def chat_stream(self, messages: Any, **options: Any) -> AsyncGenerator[ChatChunk, None]:
        try:
            for chunk in self._chunks:
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk
        finally:
            self.closed = True


async def test_failures_are_told_by_their_kind_and_not_their_words(
    told: GenAISpanCollector, figures: InMemoryMetricReader
) -> None:
    secret = BadRequestError("You said: my card is 4711.")
    with pytest.raises(BadRequestError):
        await Scripted(secret).chat("hello")
    span, about = _only(told)
    assert about["error.type"] == "BadRequestError"
    assert "4711" not in f"{about} {span.status.description} {span.events}"
    (point,) = _recorded(figures)["gen_ai.server.request.duration"]
    assert point.attributes["error.type"] == "BadRequestError"

    backend = Scripted(ChatChunk(Delta("a")), secret)
    with pytest.raises(BadRequestError):
        [chunk async for chunk in backend.chat_stream("hello")]
    assert _only(told)[1]["error.type"] == "BadRequestError"


async def test_who_stops_listening_or_is_cancelled_ends_the_call_and_its_span(told: GenAISpanCollector) -> None:
    backend = Scripted(ChatChunk(Delta("a")), ChatChunk(Delta("b")))
    stream = backend.chat_stream("hello")
    await anext(stream)
    await stream.aclose()
    assert backend.closed
    assert _only(told)[1]["error.type"] == "GeneratorExit"

    with pytest.raises(asyncio.CancelledError):
        await Scripted(asyncio.CancelledError()).chat("hello")
    assert _only(told)[1]["error.type"] == "CancelledError"


async def test_nothing_is_told_where_nobody_listens(genai_spans: GenAISpanCollector) -> None:
    backend = Scripted(ChatChunk(Delta("a"), finish_reason="stop", usage=Usage(1, 1)))
    assert [chunk.delta.content async for chunk in backend.chat_stream("hello")] == ["a"]
    assert (await Scripted().chat("hello")).content == "yes"
    assert genai_spans.finished_spans() == ()


@pytest.mark.parametrize(
    ("model", "address", "provider"),
    [
        ("openai/gpt-5", "https://api.openai.com/v1", "openai"),
        ("cloud/x", "https://api.deepseek.com", "deepseek"),
        ("here/x", "http://127.0.0.1:8000/v1", "openai"),
        ("ollama/llama3.2:3b", "http://127.0.0.1:11434", "ollama"),
        ("odd/x", "https://notdeepseek.com", "openai"),
    ],
)
def test_endpoints_have_the_names_that_the_conventions_know(model: str, address: str, provider: str) -> None:
    info = ModelInfo(model, metadata={"base_url": address})
    assert provider_of(info, local=False) == provider
    assert server_of(info)["server.address"] in address


def test_every_backend_of_this_package_is_observed() -> None:
    from parlant_local.backends.ollama import OllamaBackend
    from parlant_local.backends.openai import OpenAIBackend

    for kind in (LlamaCppBackend, OllamaBackend, OpenAIBackend):
        for name in ("chat", "chat_stream", "complete", "complete_stream", "embed", "rerank"):
            own = kind.__dict__.get(name)
            assert own is None or hasattr(own, "__wrapped__"), f"{kind.__name__}.{name}"
    assert not hasattr(Backend.chat_stream, "__wrapped__")  # which calls chat: it would be told twice
