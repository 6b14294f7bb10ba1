"""Statistics of the host's calls, per schema."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

from parlant_local.messages import Timings, Usage

__all__ = ["Counters", "SchemaCounter"]

_REMEMBERED_PROMPTS = 256


@dataclass
class SchemaCounter:
    """Totals of one schema (``streaming`` counts streamed messages)."""

    calls: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    """Answers that were retried here: truncated, or invalid."""
    rejected: int = 0
    """Answers that the host rejected, seen by the same prompt arriving again in the same session."""
    tightened: int = 0
    fixed_tokens: int = 0
    """Tokens of the answers that tightening fixed."""
    plain: int = 0
    """Calls without tightening: nothing to tighten, or a prompt that was not recognised."""
    refused: int = 0
    """Tightened schemas that a backend rejected; the plain one was used."""
    brief: int = 0
    """Calls whose prompt fitted no model until its examples were left out."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    forced_tokens: int = 0
    sampled_tokens: int = 0
    seconds: float = 0.0


class Counters:
    """Thread-safe; one per service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._schemas: dict[str, SchemaCounter] = {}
        self._answered: OrderedDict[bytes, None] = OrderedDict()
        self._omission_warned = False

    def add(self, schema: str, **amounts: float) -> None:
        with self._lock:
            counter = self._schemas.setdefault(schema, SchemaCounter())
            for name, amount in amounts.items():
                setattr(counter, name, getattr(counter, name) + amount)

    def add_answer(self, schema: str, usage: Usage, timings: Timings) -> None:
        self.add(
            schema,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
            forced_tokens=timings.forced_tokens,
            sampled_tokens=timings.sampled_tokens,
        )

    def first_omission(self) -> bool:
        """True the first time."""
        with self._lock:
            warned, self._omission_warned = self._omission_warned, True
            return not warned

    def was_answered(self, schema: str, session: str | None, prompt: str) -> bool:
        """Whether this prompt was answered before, so that the host rejected the answer; counts it."""
        with self._lock:
            known = _key(schema, session, prompt) in self._answered
            if known:
                self._schemas.setdefault(schema, SchemaCounter()).rejected += 1
            return known

    def note_answered(self, schema: str, session: str | None, prompt: str) -> None:
        key = _key(schema, session, prompt)
        with self._lock:
            self._answered[key] = None
            self._answered.move_to_end(key)
            if len(self._answered) > _REMEMBERED_PROMPTS:
                self._answered.popitem(last=False)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Schema name to its totals, and ``total`` over all."""
        with self._lock:
            rows = {name: asdict(counter) for name, counter in sorted(self._schemas.items())}
        total = asdict(SchemaCounter())
        for row in rows.values():
            for name, value in row.items():
                total[name] += value
        return {**rows, "total": total}


def _key(schema: str, session: str | None, prompt: str) -> bytes:
    return blake2b(f"{schema}\0{session}\0{prompt}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
