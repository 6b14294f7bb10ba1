"""The engine's statistics since it was loaded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any

from parlant_local.messages import Timings

__all__ = ["EngineStats", "StatsRecorder"]


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A snapshot. Token counts and seconds are totals since load; ``first_token_p50`` covers recent requests."""

    loaded: bool = False
    waiting: int = 0
    running: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    reused_tokens: int = 0
    forced_tokens: int = 0
    sampled_tokens: int = 0
    steps: int = 0
    decode_seconds: float = 0.0
    """Inside llama_decode."""
    other_seconds: float = 0.0
    """Everything else a step does: batches, sampling, constraints, delivery, states."""
    constraint_seconds: float = 0.0
    tokens_per_second: float = 0.0
    """Output tokens per second of running steps, forced ones included."""
    first_token_p50: float = 0.0
    cells: int = 0
    cells_used: int = 0
    retained_prefixes: int = 0
    retained_bytes: int = 0
    prefixes_on_disk: int = 0
    embedded_texts: int = 0
    output_hits: int = 0
    """Calls and embedded texts that were answered from earlier results."""
    output_misses: int = 0
    """Those that might have been, but were new."""
    outputs_bytes: int = 0
    """Memory of the results that are kept."""
    engine_failures: int = 0
    """Internal failures that ended the engine."""
    recent_failures: int = 0
    """Those of the last ten minutes, after which it was loaded again."""
    blocked_seconds: float = 0.0
    """Seconds until it may be loaded again, after too many recent failures."""

    @property
    def prefix_hit_rate(self) -> float:
        """Share of prompt tokens that were not computed again."""
        return self.reused_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    def as_dict(self) -> dict[str, Any]:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**values, "prefix_hit_rate": self.prefix_hit_rate}


@dataclass(slots=True)
class StatsRecorder:
    """Counters, updated on the engine's thread. Each is a field of :class:`EngineStats`, which a snapshot copies."""

    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    reused_tokens: int = 0
    forced_tokens: int = 0
    sampled_tokens: int = 0
    steps: int = 0
    decode_seconds: float = 0.0
    other_seconds: float = 0.0
    constraint_seconds: float = 0.0
    embedded_texts: int = 0
    engine_failures: int = 0
    _first_tokens: deque[float] = field(default_factory=lambda: deque(maxlen=256))

    def record(self, prompt_tokens: int, timings: Timings) -> None:
        self.finished += 1
        self.prompt_tokens += prompt_tokens
        self.prefilled_tokens += timings.prefilled_tokens
        self.reused_tokens += timings.reused_tokens
        self.forced_tokens += timings.forced_tokens
        self.sampled_tokens += timings.sampled_tokens
        self.constraint_seconds += timings.constraint
        self._first_tokens.append(timings.first_token)

    def snapshot(self, **gauges: Any) -> EngineStats:
        busy = self.decode_seconds + self.other_seconds
        recent = sorted(self._first_tokens)
        return EngineStats(
            **{item.name: getattr(self, item.name) for item in fields(self) if not item.name.startswith("_")},
            tokens_per_second=(self.forced_tokens + self.sampled_tokens) / busy if busy else 0.0,
            first_token_p50=recent[len(recent) // 2] if recent else 0.0,
            **gauges,
        )
