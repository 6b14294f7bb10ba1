"""What became of the host's calls, per schema."""

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
    """Answers asked for again here: cut by the token limit, or not valid."""
    asked_again: int = 0
    """Calls whose very prompt was answered before in the same session: the host rejected that answer."""
    tightened: int = 0
    plain: int = 0
    """Calls whose prompt had nothing to tighten with, or was not understood."""
    refused: int = 0
    """Tightened schemas that a backend would not take; the plain one was used."""
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
        self._prompts: OrderedDict[bytes, None] = OrderedDict()

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

    def note_prompt(self, schema: str, session: str | None, prompt: str) -> None:
        """Counts a prompt that was answered before, which is how the host's rejections show."""
        key = blake2b(f"{schema}\0{session}\0{prompt}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            if key in self._prompts:
                self._schemas.setdefault(schema, SchemaCounter()).asked_again += 1
                self._prompts.move_to_end(key)
                return
            self._prompts[key] = None
            if len(self._prompts) > _REMEMBERED_PROMPTS:
                self._prompts.popitem(last=False)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Schema name to its totals, and ``total`` over all."""
        with self._lock:
            rows = {name: asdict(counter) for name, counter in sorted(self._schemas.items())}
        total = asdict(SchemaCounter())
        for row in rows.values():
            for name, value in row.items():
                total[name] += value
        return {**rows, "total": total}
