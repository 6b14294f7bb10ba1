"""OpenTelemetry's own objects: those that the program has set up, else new ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from opentelemetry import context, metrics, trace
from opentelemetry.propagate import extract
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from parlant_local._version import __version__
from parlant_local.errors import ConfigurationError
from parlant_local.observability import Bystander
from parlant_local.settings import TelemetrySettings

__all__ = ["flush_all", "joined", "set_up", "unsent"]

_FLUSH_MS = 5_000
_unsent: dict[str, bool] = {}
_bystander = Bystander("OpenTelemetry")
E = TypeVar("E", SpanExporter, MetricExporter)


def set_up(settings: TelemetrySettings) -> None:
    """Makes what the program has not made itself. Programs that set up OpenTelemetry later than this find it set up."""
    try:
        _set_up(settings)
    except ValueError as error:  # of a variable of OpenTelemetry's
        raise ConfigurationError(
            f"OpenTelemetry can't be set up: {error}.", hint="Look at the variables that begin with OTEL_."
        ) from error


def _set_up(settings: TelemetrySettings) -> None:
    resource = Resource.create(
        {"service.name": os.environ.get("OTEL_SERVICE_NAME", "parlant-local"), "service.version": __version__}
    )
    if _wanted("TRACES") and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        tracing = TracerProvider(resource=resource)
        tracing.add_span_processor(BatchSpanProcessor(_watched(_spans_to(settings), "traces")))
        trace.set_tracer_provider(tracing)
    if _wanted("METRICS") and not isinstance(metrics.get_meter_provider(), MeterProvider):
        reader = PeriodicExportingMetricReader(_watched(_metrics_to(settings), "metrics"))
        metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[reader]))


def _wanted(signal: str) -> bool:
    """OpenTelemetry's own switch, for services that take one signal only."""
    return os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip() != "none"


def _spans_to(settings: TelemetrySettings) -> SpanExporter:
    if settings.exporter == "console":
        return ConsoleSpanExporter(out=sys.stderr)
    if _protocol("TRACES") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc

        return grpc.OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http

    return http.OTLPSpanExporter()


def _metrics_to(settings: TelemetrySettings) -> MetricExporter:
    if settings.exporter == "console":
        return ConsoleMetricExporter(out=sys.stderr)
    if _protocol("METRICS") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc

        return grpc.OTLPMetricExporter()
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as http

    return http.OTLPMetricExporter()


def _watched(exporter: E, signal: str) -> E:
    """``exporter``, which notes whether its last sending arrived."""
    send: Callable[..., Any] = exporter.export

    def export(*told: Any, **named: Any) -> Any:
        arrived = False
        try:
            outcome = send(*told, **named)
            arrived = outcome.name == "SUCCESS"
        finally:
            _unsent[signal] = not arrived
        return outcome

    exporter.export = export  # type: ignore[method-assign]  # a wrapper would have to copy what readers look up in its private part
    return exporter


def unsent() -> list[str]:
    """The signals whose last sending failed."""
    return [signal for signal, failed in _unsent.items() if failed]


def _protocol(signal: str) -> str:
    """As OpenTelemetry's variables say; HTTP where they don't, which is its own default."""
    name = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
    chosen = os.environ.get(name) or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if chosen not in ("grpc", "http/protobuf"):
        raise ConfigurationError(
            f"{chosen!r} is no protocol for telemetry.", hint=f"Set {name} to grpc or http/protobuf."
        )
    return chosen


def flush_all() -> None:
    """Sends what waits to be sent, for some seconds at most."""
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        if (send := getattr(provider, "force_flush", None)) is not None:
            _bystander.tell(send, _FLUSH_MS)


@contextmanager
def joined(headers: Mapping[str, str]) -> Iterator[None]:
    """The trace that ``headers`` name, as the current one."""
    found = _bystander.tell(extract, headers)  # by propagators that the program has chosen
    token = context.attach(found or context.get_current())
    try:
        yield
    finally:
        context.detach(token)
