"""Counters and histograms of the server, and the engines' own figures, in Prometheus's format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from parlant_local.engine import EngineStats
from parlant_local.messages import Timings, Usage

__all__ = ["CONTENT_TYPE", "Metrics", "Outcome", "figure"]

Outcome = Literal["ok", "cancelled", "error"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
_LONG_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280)


class Metrics:
    """``engines`` gives the figures of every loaded model, ``state`` those of the server; both are called on every scrape."""

    def __init__(
        self, engines: Callable[[], Mapping[str, EngineStats]], state: Callable[[], Iterable[Metric]] = tuple
    ) -> None:
        self._registry = CollectorRegistry()
        prefix: dict[str, Any] = {"namespace": "parlant_local", "registry": self._registry}
        self.requests = Counter("http_requests", "Requests by route and status.", ["route", "status"], **prefix)
        self.seconds = Histogram(
            "http_request_seconds",
            "Duration of a request until the end of its response.",
            ["route"],
            buckets=_SECONDS,
            **prefix,
        )
        self.running = Gauge("http_requests_running", "Requests in progress.", **prefix)
        self.first_token = Histogram(
            "time_to_first_token_seconds", "From a request to its first token.", ["model"], buckets=_SECONDS, **prefix
        )
        self._answer_seconds = Histogram(
            "answer_seconds",
            "From a request to the end of its answer, by model and outcome.",
            ["model", "outcome"],
            buckets=_LONG_SECONDS,
            **prefix,
        )
        self._queued = Histogram(
            "queue_seconds", "Wait of an answer before its model begins.", ["model"], buckets=_SECONDS, **prefix
        )
        self._token_seconds = Histogram(
            "time_per_output_token_seconds",
            "Between the tokens of an answer: its decoding by its tokens.",
            ["model"],
            buckets=_TOKEN_SECONDS,
            **prefix,
        )
        self.prompt_tokens = Counter("prompt_tokens", "Prompt tokens.", ["model"], **prefix)
        self.generation_tokens = Counter("generation_tokens", "Generated tokens.", ["model"], **prefix)
        self.disconnects = Counter("client_disconnects", "Responses that clients disconnected from.", **prefix)
        self._image_jobs = Counter(
            "image_jobs", "Requests for pictures by model and outcome.", ["model", "outcome"], **prefix
        )
        self._images = Counter("images", "Pictures that were made.", ["model"], **prefix)
        self._image_seconds = Histogram(
            "image_job_seconds",
            "Work at a request for pictures, without its wait.",
            ["model", "outcome"],
            buckets=_LONG_SECONDS,
            **prefix,
        )
        self._registry.register(_Collected(lambda: _engine_figures(engines())))
        self._registry.register(_Collected(state))

    def made(self, model: str, outcome: str, pictures: int, seconds: float) -> None:
        """``seconds``: 0 where it was not begun."""
        self._image_jobs.labels(model, outcome).inc()
        self._images.labels(model).inc(pictures)
        if seconds:
            self._image_seconds.labels(model, outcome).observe(seconds)

    def answered(self, model: str, outcome: Outcome, seconds: float, usage: Usage, timings: Timings | None) -> None:
        """Of one answer; without timings where another server gave it."""
        self._answer_seconds.labels(model, outcome).observe(seconds)
        self._used(model, usage)
        if timings is None or timings.from_cache or outcome != "ok":
            return
        self._queued.labels(model).observe(timings.queued)
        if usage.completion_tokens > 1 and timings.decode:
            self._token_seconds.labels(model).observe(timings.decode / (usage.completion_tokens - 1))

    def _used(self, model: str, usage: Usage) -> None:
        self.prompt_tokens.labels(model).inc(usage.prompt_tokens)
        self.generation_tokens.labels(model).inc(usage.completion_tokens)

    def render(self) -> bytes:
        return generate_latest(self._registry)


# metric: (the engine's field, help text, whether it is a counter)
_FIGURES: Mapping[str, tuple[str, str, bool]] = {
    "num_requests_running": ("running", "Sequences being generated.", False),
    "num_requests_waiting": ("waiting", "Requests in the queue.", False),
    "tokens_per_second": ("tokens_per_second", "Tokens per second of running steps.", False),
    "kv_cache_cells": ("cells", "KV cache cells.", False),
    "kv_cache_cells_used": ("cells_used", "KV cache cells in use.", False),
    "prefix_retained_bytes": ("retained_bytes", "Memory of retained prefixes.", False),
    "engine_prompt_tokens": ("prompt_tokens", "Prompt tokens of finished requests.", True),
    "prefilled_tokens": ("prefilled_tokens", "Prompt tokens that were computed.", True),
    "prefix_hit_tokens": ("reused_tokens", "Prompt tokens served from the prefix cache.", True),
    "output_bytes": ("outputs_bytes", "Memory of answers kept for exact repeats.", False),
    "output_hits": ("output_hits", "Repeated calls and texts answered without computing.", True),
    "output_misses": ("output_misses", "Calls and texts that could have been repeats and were new.", True),
    "forced_tokens": ("forced_tokens", "Tokens forced by a schema.", True),
    "sampled_tokens": ("sampled_tokens", "Tokens that were sampled.", True),
    "requests_finished": ("finished", "Requests that finished.", True),
    "requests_cancelled": ("cancelled", "Requests that were cancelled.", True),
    "requests_failed": ("failed", "Requests that failed.", True),
    "decode_steps": ("steps", "Steps of the engine.", True),
    "engine_failures": ("engine_failures", "Times that the engine was stopped by an internal error.", True),
}


class _Collected:
    """What is asked for when it is scraped."""

    def __init__(self, figures: Callable[[], Iterable[Metric]]) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        return ()  # otherwise registering would collect

    def collect(self) -> Iterable[Metric]:
        return self._figures()


def _engine_figures(engines: Mapping[str, EngineStats]) -> Iterable[Metric]:
    for name, (field, text, grows) in _FIGURES.items():
        values: dict[tuple[str, ...], float] = {(model,): getattr(stats, field) for model, stats in engines.items()}
        yield figure(name, text, ["model"], values, grows=grows)


def figure(
    name: str, text: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float], *, grows: bool = False
) -> Metric:
    """A gauge, or a counter where it ``grows``, with its values by label."""
    kind = CounterMetricFamily if grows else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = kind(f"parlant_local_{name}", text, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family
