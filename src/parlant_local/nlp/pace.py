"""How long the calls of each kind usually take here, as measured, and how many times what Parlant expects of clouds that is."""

from __future__ import annotations

import random
import statistics
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from parlant_local.settings import HealthSettings

__all__ = ["Factors", "Pace"]

_KEPT = 64
_ENOUGH = 5
_MAX_KINDS = 256


@dataclass(frozen=True, slots=True)
class Factors:
    """By how much Parlant's thresholds are raised."""

    kinds: Mapping[str, float]
    """Of the kinds that were measured."""
    start: float

    @property
    def others(self) -> float:
        """Of kinds that were not."""
        return statistics.median(self.kinds.values()) if self.kinds else self.start

    @property
    def turns(self) -> float:
        """Of turns, which have calls of all kinds one after another."""
        return max(self.kinds.values(), default=self.start)

    def of(self, kind: str) -> float:
        return self.kinds.get(kind, self.others)


class Pace:
    """Thread-safe; one per service.

    What is usual is the lower quartile of a sample of all answers since the start: it does not follow a model that has become slow
    before most of its answers are, and a long queue now and then does not become usual.
    """

    def __init__(self, settings: HealthSettings | None = None) -> None:
        self._settings = settings or HealthSettings()
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}
        self._samples: dict[str, list[float]] = {}
        self._dice = random.Random(0)  # chooses what is kept of a sample

    def note(self, kind: str, seconds: float) -> None:
        """An answer that was computed, and how long its caller waited."""
        with self._lock:
            if kind not in self._samples and len(self._samples) >= _MAX_KINDS:
                return
            sample = self._samples.setdefault(kind, [])
            self._seen[kind] = self._seen.get(kind, 0) + 1
            if len(sample) < _KEPT:
                sample.append(seconds)
            elif (place := self._dice.randrange(self._seen[kind])) < _KEPT:
                sample[place] = seconds

    def usual(self) -> dict[str, float]:
        """Seconds by kind; of kinds that were answered often enough to say."""
        with self._lock:
            samples = {kind: sorted(sample) for kind, sample in self._samples.items() if len(sample) >= _ENOUGH}
        return {kind: sample[len(sample) // 4] for kind, sample in samples.items()}

    def factors(self, slow: Mapping[str, float], otherwise: float) -> Factors:
        """So that a kind is slow from ``health.slow_times`` its usual seconds on, but never before Parlant's own threshold: that of
        ``slow``, or ``otherwise``, in seconds."""
        times = self._settings.slow_times
        found = {kind: max(1.0, times * usual / slow.get(kind, otherwise)) for kind, usual in self.usual().items()}
        return Factors(found, self._settings.start_times)
