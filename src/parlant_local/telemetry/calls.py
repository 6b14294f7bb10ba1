"""One span for each call to a model, and what is measured of it, named as OpenTelemetry's conventions for generative AI have it.

https://github.com/open-telemetry/semantic-conventions-genai (development). A call that this process answers itself counts as a
server's request; one that goes to a daemon or an endpoint as a client's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from parlant_local._version import __version__
from parlant_local.backends.base import Backend, EmbedReply, ModelInfo
from parlant_local.backends.in_process import InProcessBackend
from parlant_local.backends.observing import Operation
from parlant_local.messages import ChatChunk, ChatReply, ResponseFormat, Timings, Usage, whole_text
from parlant_local.telemetry.content import input_messages, output_messages
from parlant_local.telemetry.naming import provider_of, server_of

__all__ = ["CallObserver"]

_NAME = "parlant_local"
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_OPTIONS: Mapping[str, type] = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "max_tokens": int,
    "frequency_penalty": float,
    "presence_penalty": float,
    "seed": int,
}
_NAMED = {
    "session": ("gen_ai.conversation.id", "session.id"),  # by the second some services group traces
    "prefix_group": ("parlant_local.schema",),
}


class CallObserver:
    """Makes a span for each call; ``content``: with what was asked and answered."""

    def __init__(self, *, content: bool = False) -> None:
        self._content = content
        self._tracer = trace.get_tracer(_NAME, __version__)
        meter = metrics.get_meter(_NAME, __version__)

        def histogram(name: str, unit: str, buckets: tuple[float, ...]) -> Any:
            return meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=list(buckets))

        self.tokens = histogram("gen_ai.client.token.usage", "{token}", _TOKENS)
        self.client_seconds = histogram("gen_ai.client.operation.duration", "s", _SECONDS)
        self.server_seconds = histogram("gen_ai.server.request.duration", "s", _SECONDS)
        self.first_token = histogram("gen_ai.server.time_to_first_token", "s", _SECONDS)
        self.each_token = histogram("gen_ai.server.time_per_output_token", "s", _TOKEN_SECONDS)

    def began(
        self, backend: Backend, operation: Operation, asked: Any, options: Mapping[str, Any], *, streams: bool
    ) -> _Call:
        info = _described(backend, type(backend).__name__)
        local = isinstance(backend, InProcessBackend)
        # Ranking has no name of its own there; retrieval is what it belongs to.
        named = "retrieval" if operation == "rerank" else operation
        common = {
            "gen_ai.operation.name": named,
            "gen_ai.provider.name": provider_of(info, local=local),
            "gen_ai.request.model": info.id,
        }
        span = self._tracer.start_span(
            f"{named} {info.id}",
            kind=SpanKind.INTERNAL if local else SpanKind.CLIENT,
            attributes=common | _requested(options, streams=streams) | server_of(info),
        )
        told = self._content and span.is_recording()
        if told and operation in ("chat", "text_completion"):
            span.set_attribute("gen_ai.input.messages", input_messages(asked))
        return _Call(self, None if info.loaded else backend, span, common, local=local, content=told)


def _described(backend: Backend, otherwise: str) -> ModelInfo:
    """What a backend says of its model; where that fails, ``otherwise`` is its id: its calls are told all the same."""
    try:
        return backend.model_info()
    except Exception:  # a plug-in's
        return ModelInfo(otherwise)


class _Call:
    def __init__(
        self,
        observer: CallObserver,
        unloaded: Backend | None,
        span: Span,
        common: dict[str, str],
        *,
        local: bool,
        content: bool,
    ) -> None:
        self._observer, self._unloaded, self._span, self._common = observer, unloaded, span, common
        self._local, self._content = local, content
        self._began = time.perf_counter()
        self._first: float | None = None
        self._usage, self._timings = Usage(), Timings()
        self._reasons: list[str] = []
        self._texts: dict[int, list[str]] = {}
        self._model: str | None = None

    # -- what happens -------------------------------------------------------------------------------------------------

    def chunk(self, chunk: ChatChunk) -> None:
        if self._first is None:
            self._first = time.perf_counter() - self._began
        self._model = chunk.model or self._model
        if chunk.usage is not None:
            self._usage += chunk.usage
        if chunk.timings is not None:
            self._timings = chunk.timings
        if chunk.finish_reason is not None:
            self._reasons.append(chunk.finish_reason)
        if self._content and chunk.delta.content:
            self._texts.setdefault(chunk.index, []).append(chunk.delta.content)

    def ended(self) -> None:
        try:
            self._answered(["".join(parts) for _, parts in sorted(self._texts.items())])
        finally:
            self._span.end()

    def finished(self, reply: Any) -> None:
        try:
            self._model, self._usage = reply.model, reply.usage
            texts: list[str] = []
            if isinstance(reply, ChatReply):
                self._timings = reply.timings
                self._first = reply.timings.first_token or None
                self._reasons = [choice.finish_reason for choice in reply.choices]
                texts = [choice.content for choice in reply.choices]
            elif isinstance(reply, EmbedReply):
                self._span.set_attribute("gen_ai.embeddings.dimension.count", reply.dimensions)
            self._answered(texts)
        finally:
            self._span.end()

    def failed(self, error: BaseException) -> None:
        kind = type(error).__name__
        try:
            self._span.set_attribute("error.type", kind)
            # Messages of errors may quote what was asked; their type never does.
            self._span.set_status(Status(StatusCode.ERROR, whole_text(str(error)) if self._content else kind))
            self._measured({"error.type": kind})
        finally:
            self._span.end()

    # -- what is told -------------------------------------------------------------------------------------------------

    def _answered(self, texts: list[str]) -> None:
        usage, span = self._usage, self._span
        span.set_attributes(
            {
                "gen_ai.usage.input_tokens": usage.prompt_tokens,
                "gen_ai.usage.output_tokens": usage.completion_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
                "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
            }
        )
        if self._model:
            span.set_attribute("gen_ai.response.model", self._model)
        if self._reasons:
            span.set_attribute("gen_ai.response.finish_reasons", self._reasons)
        if self._first is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", self._first)
        if self._content and texts:
            span.set_attribute("gen_ai.output.messages", output_messages(texts, self._reasons))
        self._measured({})

    def _measured(self, more: Mapping[str, str]) -> None:
        seconds = time.perf_counter() - self._began
        self._rename()
        observer, usage, timings = self._observer, self._usage, self._timings
        about = {**self._common, **({"gen_ai.response.model": self._model} if self._model else {}), **more}
        (observer.server_seconds if self._local else observer.client_seconds).record(seconds, about)
        if self._local and self._first is not None:
            observer.first_token.record(self._first, about)
        if self._local and usage.completion_tokens > 1 and timings.decode:
            observer.each_token.record(timings.decode / (usage.completion_tokens - 1), about)
        for kind, count in (("input", usage.prompt_tokens), ("output", usage.completion_tokens)):
            if count:
                observer.tokens.record(count, {**about, "gen_ai.token.type": kind})

    def _rename(self) -> None:
        """A model that this call has loaded is known by its id from now on, no longer by what it was asked for: a path, maybe."""
        if self._unloaded is None:
            return
        known = _described(self._unloaded, self._common["gen_ai.request.model"]).id
        if known != self._common["gen_ai.request.model"]:
            self._common["gen_ai.request.model"] = known
            self._span.set_attribute("gen_ai.request.model", known)
            self._span.update_name(f"{self._common['gen_ai.operation.name']} {known}")


def _requested(options: Mapping[str, Any], *, streams: bool) -> dict[str, Any]:
    """What a call asks for. Its options are not checked yet: what is of another type is left out, and the call says so."""
    found: dict[str, Any] = {"gen_ai.request.stream": streams} if streams else {}
    for name, kind in _OPTIONS.items():
        value = options.get(name)
        if isinstance(value, int if kind is int else int | float) and not isinstance(value, bool):
            found[f"gen_ai.request.{name}"] = kind(value)
    stop = options.get("stop")
    if isinstance(stop, str | list | tuple):
        texts = [stop] if isinstance(stop, str) else stop
        found["gen_ai.request.stop_sequences"] = [whole_text(text) for text in texts if isinstance(text, str)]
    count = options.get("n")
    if isinstance(count, int) and count != 1:
        found["gen_ai.request.choice.count"] = count
    for name, keys in _NAMED.items():
        if isinstance(value := options.get(name), str):
            found.update(dict.fromkeys(keys, whole_text(value)))
    if _wants_json(options.get("response_format")):
        found["gen_ai.output.type"] = "json"
    return found


def _wants_json(form: Any) -> bool:
    if isinstance(form, ResponseFormat):
        return form.type != "text"
    kind = form.get("type") if isinstance(form, Mapping) else None
    return isinstance(form, type) or kind in ("json_object", "json_schema")
