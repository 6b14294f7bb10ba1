"""The circuit breaker, by itself."""

from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from parlant_local.settings import BreakerSettings
from parlant_local.switching.breaker import CircuitBreaker, Outcome, Permit

SETTINGS = BreakerSettings(failure_threshold=3, min_calls=5, cooldown_seconds=10, max_cooldown_seconds=35)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(SETTINGS, clock)


def _run(breaker: CircuitBreaker, *outcomes: Outcome) -> None:
    for outcome in outcomes:
        permit = breaker.admit()
        assert permit is not None
        breaker.settle(permit, outcome)


def test_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    _run(breaker, "failure", "failure")
    assert breaker.state == "closed"
    _run(breaker, "failure")
    assert breaker.state == "open"
    assert breaker.admit() is None
    assert breaker.retry_in == 10


def test_a_success_between_keeps_it_closed_until_the_share_is_too_high(breaker: CircuitBreaker) -> None:
    _run(breaker, "failure", "success", "failure", "success")
    assert breaker.state == "closed"
    _run(breaker, "failure")
    assert breaker.state == "open"


def test_old_failures_leave_the_window(breaker: CircuitBreaker, clock: Clock) -> None:
    _run(breaker, "failure", "success", "failure", "success")
    clock.now += 61
    _run(breaker, "failure")
    assert breaker.state == "closed"


def test_one_probe_is_admitted_after_the_pause_and_only_one(breaker: CircuitBreaker, clock: Clock) -> None:
    _run(breaker, "failure", "failure", "failure")
    clock.now += 10
    probe = breaker.admit()
    assert probe is not None
    assert probe.probe
    assert breaker.state == "half_open"
    assert breaker.admit() is None
    breaker.settle(probe, "success")
    assert breaker.state == "closed"
    assert breaker.admit() is not None


def test_each_failed_probe_doubles_the_pause_up_to_the_maximum(breaker: CircuitBreaker, clock: Clock) -> None:
    _run(breaker, "failure", "failure", "failure")
    pauses = []
    for _ in range(3):
        clock.now += breaker.retry_in
        _run(breaker, "failure")
        pauses.append(breaker.retry_in)
    assert pauses == [20, 35, 35]
    clock.now += 35
    _run(breaker, "success", "failure", "failure", "failure")
    assert breaker.retry_in == 10  # a recovery starts over


def test_a_probe_that_was_cancelled_lets_the_next_call_probe_at_once(breaker: CircuitBreaker, clock: Clock) -> None:
    _run(breaker, "failure", "failure", "failure")
    clock.now += 10
    _run(breaker, "neutral")
    assert breaker.state == "open"
    assert breaker.admits


def test_results_of_calls_that_began_before_it_opened_change_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    early = [breaker.admit() for _ in range(17)]
    _run(breaker, "failure", "failure", "failure")
    for permit in early:
        assert permit is not None
        breaker.settle(permit, "failure")
    assert breaker.retry_in == 10
    clock.now += 10
    probe = breaker.admit()
    assert probe is not None
    stale = early[0]
    assert stale is not None
    breaker.settle(stale, "success")
    assert breaker.state == "half_open"


class BreakerMachine(RuleBasedStateMachine):
    """Any order of admissions, settlements and time."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = CircuitBreaker(SETTINGS, self.clock)
        self.probes: set[Permit] = set()

    @rule(target=permits)
    def admit(self) -> Permit | None:
        could = self.breaker.admits
        before = self.breaker.state
        permit = self.breaker.admit()
        assert (permit is not None) == could
        if permit is not None and permit.probe:
            assert before == "open"
            assert not self.probes  # never two at once
            self.probes.add(permit)
        return permit

    @rule(permit=consumes(permits), outcome=st.sampled_from(["success", "failure", "neutral"]))
    def settle(self, permit: Permit | None, outcome: Outcome) -> None:
        if permit is not None:
            self.breaker.settle(permit, outcome)
            self.probes.discard(permit)

    @rule(seconds=st.floats(0, 50))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def the_pause_is_bounded(self) -> None:
        assert 0 <= self.breaker.retry_in <= SETTINGS.max_cooldown_seconds

    @invariant()
    def half_open_means_that_a_probe_is_out(self) -> None:
        assert (self.breaker.state == "half_open") == bool(self.probes)

    def teardown(self) -> None:
        # However it got here: once every permit is back and the pause is over, it admits again.
        for probe in list(self.probes):
            self.breaker.settle(probe, "neutral")
        self.clock.now += SETTINGS.max_cooldown_seconds
        assert self.breaker.admits


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
