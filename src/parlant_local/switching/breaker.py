"""A circuit breaker: a target that keeps failing gets no calls for a while, and is readmitted by one successful probe.

A pure state machine: time comes from an injected clock, and nothing here waits or does I/O::

    closed ──(failures in a row, or a share of the window)──▶ open ──(pause over, one call admitted)──▶ half open
      ▲                                                       ▲                                            │
      └───────────────────── the probe succeeds ──────────────┼────────────────────────────────────────────┤
                                                              └── the probe fails: the pause doubles ──────┘
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from parlant_local.settings import BreakerSettings

__all__ = ["BreakerState", "CircuitBreaker", "Outcome", "Permit"]

BreakerState = Literal["closed", "open", "half_open"]
Outcome = Literal["success", "failure", "neutral"]
"""``neutral``: the call says nothing about the target's health (cancelled, refused as a bad request, …)."""

_WINDOW_CALLS = 1024


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one call; return it with :meth:`CircuitBreaker.settle`, whatever happened."""

    generation: int
    """Counts the breaker's changes of state: permits of an earlier one no longer count."""
    probe: bool


class CircuitBreaker:
    def __init__(self, settings: BreakerSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._state: BreakerState = "closed"
        self._generation = 0
        self._consecutive_failures = 0
        self._window: deque[tuple[float, bool]] = deque(maxlen=_WINDOW_CALLS)
        self._cooldown = settings.cooldown_seconds
        self._reopens_at = 0.0

    @property
    def state(self) -> BreakerState:
        return self._state

    @property
    def retry_in(self) -> float:
        """Seconds until a probe is admitted; 0 while closed or due."""
        left = self._reopens_at - self._clock() if self._state == "open" else 0.0
        # Adding and subtracting the same float may round up.
        return min(max(0.0, left), self._settings.max_cooldown_seconds)

    @property
    def admits(self) -> bool:
        """Whether :meth:`admit` would give a permit now."""
        return self._state == "closed" or (self._state == "open" and self._clock() >= self._reopens_at)

    def admit(self) -> Permit | None:
        if not self.admits:
            return None
        if self._state == "open":
            self._enter("half_open")
            return Permit(self._generation, probe=True)
        return Permit(self._generation, probe=False)

    def settle(self, permit: Permit, outcome: Outcome) -> None:
        """Returns a permit. Those of an earlier generation, calls that began before the state changed, change nothing."""
        if permit.generation != self._generation:
            return
        if permit.probe:
            self._settle_probe(outcome)
        elif outcome == "success":
            self._consecutive_failures = 0
            self._window.append((self._clock(), True))
        elif outcome == "failure":
            self._consecutive_failures += 1
            self._window.append((self._clock(), False))
            if self._should_open():
                self._open(self._settings.cooldown_seconds)

    def _settle_probe(self, outcome: Outcome) -> None:
        if outcome == "success":
            self._enter("closed")
            self._cooldown = self._settings.cooldown_seconds
        elif outcome == "failure":
            self._open(min(self._cooldown * 2, self._settings.max_cooldown_seconds))
        else:  # nothing learned: the next call may probe at once
            self._enter("open")

    def _should_open(self) -> bool:
        if self._consecutive_failures >= self._settings.failure_threshold:
            return True
        horizon = self._clock() - self._settings.window_seconds
        while self._window and self._window[0][0] < horizon:
            self._window.popleft()
        failures = sum(not success for _, success in self._window)
        calls = len(self._window)
        return calls >= self._settings.min_calls and failures / calls >= self._settings.failure_ratio

    def _open(self, cooldown: float) -> None:
        self._cooldown = min(cooldown, self._settings.max_cooldown_seconds)
        self._reopens_at = self._clock() + self._cooldown
        self._enter("open")

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._generation += 1
        self._consecutive_failures = 0
        self._window.clear()
