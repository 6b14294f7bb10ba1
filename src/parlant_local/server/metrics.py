"""Counters and histograms of the server, and the engines' own figures, in Prometheus's format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from parlant_local.engine import EngineStats
from parlant_local.messages import Usage

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84)
_LONG_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280)


class Metrics:
    """``engines`` gives the figures of every loaded model; it is called on every scrape."""

    def __init__(self, engines: Callable[[], Mapping[str, EngineStats]]) -> None:
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
        self._registry.register(_Engines(engines))

    def made(self, model: str, outcome: str, pictures: int, seconds: float) -> None:
        """``seconds``: 0 where it was not begun."""
        self._image_jobs.labels(model, outcome).inc()
        self._images.labels(model).inc(pictures)
        if seconds:
            self._image_seconds.labels(model, outcome).observe(seconds)

    def used(self, model: str, usage: Usage) -> None:
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


class _Engines:
    def __init__(self, engines: Callable[[], Mapping[str, EngineStats]]) -> None:
        self._engines = engines

    def describe(self) -> Iterable[Metric]:
        return ()  # otherwise registering would collect

    def collect(self) -> Iterable[Metric]:
        engines = self._engines()
        for name, (field, text, grows) in _FIGURES.items():
            family: CounterMetricFamily | GaugeMetricFamily
            if grows:
                family = CounterMetricFamily(f"parlant_local_{name}", text, labels=["model"])
            else:
                family = GaugeMetricFamily(f"parlant_local_{name}", text, labels=["model"])
            for model, stats in engines.items():
                family.add_metric([model], getattr(stats, field))
            yield family
