"""Statistics per target: counts, and latencies of the last few hundred calls."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from parlant_local.messages import Usage

__all__ = ["CallRecord", "Series", "TargetStats", "percentile"]

_HISTORY = 256
_MAX_SCHEMAS = 128


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One attempt at one target; holds no content."""

    target: str
    schema: str
    """The prefix group of the call: a schema's name, or empty."""
    remote: bool
    reason: str
    """Why this target: ``primary``, ``again``, or what failed before."""
    seconds: float
    first_chunk: float | None
    """Seconds to the first piece, of streams."""
    usage: Usage
    error: str | None
    """Class name of the failure."""
    cost: float = 0.0


@dataclass
class Series:
    """Calls of one kind."""

    calls: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    first_chunks: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    usage: Usage = field(default_factory=Usage)
    cost: float = 0.0

    def add(self, record: CallRecord) -> None:
        self.calls += 1
        self.cost += record.cost
        self.usage = self.usage + record.usage
        if record.error is not None:
            self.failures[record.error] += 1
            return
        self.latencies.append(record.seconds)
        if record.first_chunk is not None:
            self.first_chunks.append(record.first_chunk)
        if record.usage.completion_tokens and record.seconds > 0:
            self.rates.append(record.usage.completion_tokens / record.seconds)

    def snapshot(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "failures": dict(self.failures),
            "latency_p50": percentile(self.latencies, 0.5),
            "latency_p95": percentile(self.latencies, 0.95),
            "first_chunk_p50": percentile(self.first_chunks, 0.5),
            "tokens_per_second": percentile(self.rates, 0.5),
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "cost": self.cost,
        }


@dataclass
class TargetStats:
    """All calls of one target, and the same by schema."""

    total: Series = field(default_factory=Series)
    schemas: dict[str, Series] = field(default_factory=dict)
    in_flight: int = 0
    fallbacks: int = 0
    """Calls that it served after another target had failed."""

    def add(self, record: CallRecord) -> None:
        self.total.add(record)
        if record.error is None and record.reason not in ("primary", "again"):
            self.fallbacks += 1
        if record.schema in self.schemas or len(self.schemas) < _MAX_SCHEMAS:
            self.schemas.setdefault(record.schema, Series()).add(record)

    def typical_seconds(self, schema: str) -> float | None:
        """Median latency of a schema's calls, else of all; ``None`` before the first success."""
        series = self.schemas.get(schema)
        latencies = series.latencies if series is not None and series.latencies else self.total.latencies
        return percentile(latencies, 0.5)


def percentile(values: Sequence[float] | deque[float], share: float) -> float | None:
    """Nearest-rank percentile; ``None`` of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
