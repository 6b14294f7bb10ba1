"""Whoever watches calls can't fail them: what an observer, a meter, an exporter or a plug-in's own words raise stays theirs."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import SpanExportResult
from pytest_genai_semconv.plugin import GenAISpanCollector

from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.backends.observing import observe, observed, observed_stream
from parlant_local.errors import BadRequestError, ConfigurationError
from parlant_local.messages import ChatChunk, ChatReply, Delta, Usage
from parlant_local.settings import TelemetrySettings
from parlant_local.telemetry import providers
from parlant_local.telemetry.calls import CallObserver

SECRET = "my card is 4711"


class PlugIn(Backend):
    """A plug-in's backend, which can't say what it is."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    def model_info(self) -> ModelInfo:
        raise RuntimeError(SECRET)

    @observed("chat")
    async def chat(self, messages: Any, **options: Any) -> ChatReply:
        if self._failure is not None:
            raise self._failure
        return ChatReply("yes", model="m", usage=Usage(1, 2))

    @observed_stream("chat")
    async def chat_stream(self, messages: Any, **options: Any) -> AsyncGenerator[ChatChunk, None]:
        yield ChatChunk(Delta("ye"))
        if self._failure is not None:
            raise self._failure
        yield ChatChunk(Delta("s"), finish_reason="stop", usage=Usage(1, 2))


async def _streamed(backend: Backend, **options: Any) -> str:
    return "".join([chunk.delta.content async for chunk in backend.chat_stream("hello", **options)])


@pytest.fixture
def told(genai_spans: GenAISpanCollector) -> Iterator[GenAISpanCollector]:
    observe(CallObserver(content=True))
    yield genai_spans
    observe(None)


async def test_a_backend_that_cannot_say_what_it_is_answers_and_its_calls_are_told(told: GenAISpanCollector) -> None:
    assert (await PlugIn().chat("hello")).content == "yes"
    assert await _streamed(PlugIn()) == "yes"
    with pytest.raises(BadRequestError):
        await PlugIn(BadRequestError("no")).chat("hello")
    assert [span.name for span in told.finished_spans()] == ["chat PlugIn"] * 3
    assert [(span.attributes or {}).get("error.type") for span in told.finished_spans()] == [
        None,
        None,
        "BadRequestError",
    ]


class Breaks:
    """An observer that raises where it is told to."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.asked = 0

    def began(self, *_: Any, **__: Any) -> Breaks:
        self._maybe("began")
        return self

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self._maybe(name)

    def _maybe(self, name: str) -> None:
        if name == self._where:
            self.asked += 1
            raise KeyError(SECRET)


@pytest.mark.parametrize("where", ["began", "chunk", "ended", "finished", "failed"])
async def test_an_observer_that_raises_loses_no_call_and_is_named_once(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "parlant_local")
    broken = Breaks(where)
    observe(broken)
    try:
        for _ in range(2):
            assert (await PlugIn().chat("hello")).content == "yes"
            assert await _streamed(PlugIn()) == "yes"
            with pytest.raises(BadRequestError):
                await PlugIn(BadRequestError("no")).chat("hello")
            with pytest.raises(BadRequestError):
                await _streamed(PlugIn(BadRequestError("no")))
    finally:
        observe(None)
    assert broken.asked >= 2
    (line,) = [record.getMessage() for record in caplog.records if "observer" in record.getMessage()]
    assert "KeyError" in line
    assert SECRET not in line


class Unreadable(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError(SECRET)


async def test_what_cannot_be_read_is_told_without_its_content(told: GenAISpanCollector) -> None:
    assert (await PlugIn().chat(Unreadable())).content == "yes"
    (span,) = told.finished_spans()
    assert (span.attributes or {})["gen_ai.input.messages"] == "[]"


async def test_half_a_character_does_not_take_other_spans_with_it(told: GenAISpanCollector) -> None:
    """Exporters encode a batch at once, and as UTF-8."""
    half = "a\ud800"
    await PlugIn().chat(half, session=half, prefix_group=half, stop=[half])
    with pytest.raises(BadRequestError):
        await PlugIn(BadRequestError(half)).chat("hello")
    assert encode_spans(told.finished_spans()).SerializeToString()


@pytest.mark.parametrize(
    ("outcome", "unsent"),
    [(SpanExportResult.SUCCESS, []), (SpanExportResult.FAILURE, ["traces"]), (OSError("gone"), ["traces"])],
)
def test_whether_spans_arrive_is_known(outcome: Any, unsent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_unsent", {})

    class Exporter:
        def export(self, _spans: Any) -> Any:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    exporter: Any = providers._watched(Exporter(), "traces")  # type: ignore[type-var]  # as little as is used of one
    try:
        exporter.export([])
    except OSError:
        assert isinstance(outcome, OSError)
    assert providers.unsent() == unsent


def test_a_flush_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def force_flush(self, _milliseconds: int) -> None:
            raise OSError("gone")

    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", Gone)
    providers.flush_all()


def test_a_propagator_that_fails_leaves_the_call_without_a_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(_headers: Any) -> None:
        raise ValueError("no such baggage")

    monkeypatch.setattr(providers, "extract", extract)
    with providers.joined({"traceparent": "x"}):
        pass
    with pytest.raises(KeyError), providers.joined({"traceparent": "x"}):
        raise KeyError  # of the call itself


def test_a_variable_of_opentelemetry_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "0")
    with pytest.raises(ConfigurationError, match="interval"):
        providers.set_up(TelemetrySettings())
