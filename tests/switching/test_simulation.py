"""Any order of calls, failures, cancellations, swaps and time: no call is lost, nothing leaks, no limit is passed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from parlant_local.errors import (
    ContextOverflowError,
    InsufficientMemoryError,
    InvalidOutputError,
    ParlantLocalError,
    RateLimitedError,
    StallError,
    TargetDownError,
    TransientError,
)
from parlant_local.settings import BreakerSettings, BudgetSettings, SwitcherSettings
from parlant_local.switching import RoutedBackend, Target
from tests.fakes.simulated import Clock, Fleet, SimulatedBackend

NAMES = ("a", "b", "c", "cloud")
FAULTS = [
    TargetDownError("down"),
    TransientError("hiccup"),
    RateLimitedError("slow down", retry_after=1.0),
    StallError("stuck"),
    InvalidOutputError("no JSON"),
    ContextOverflowError("long", needed=9, available=8),
    InsufficientMemoryError("no room", needed=2, available=1),
]
LIMIT = 3000


class SwitcherMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.fleet = Fleet()
        self.fleet.prepare = self._prepare
        self.plans: dict[str, Any] = {}
        self.gates: list[asyncio.Event] = []
        self.running: list[asyncio.Task[Any]] = []
        self.started = 0
        self.ended = 0
        self.routed = self._run(self._build())

    async def _build(self) -> RoutedBackend:
        settings = SwitcherSettings(
            allow_cloud="fallback",
            breaker=BreakerSettings(failure_threshold=2, cooldown_seconds=10),
            budget=BudgetSettings(total_tokens=LIMIT),
        )
        targets = [self._target(name) for name in ("a", "b", "cloud")]
        return RoutedBackend(targets, settings=settings, clock=self.clock, sleep=self.clock.sleep)

    def _target(self, name: str) -> Target:
        return self.fleet.target(name, remote=name == "cloud", in_process=name in "ab")

    def _prepare(self, backend: SimulatedBackend) -> None:
        backend.always = self.plans.get(backend.info.id)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def _settle(self) -> None:
        async def ticks() -> None:
            for _ in range(50):
                await asyncio.sleep(0)

        self._run(ticks())
        done = [task for task in self.running if task.done()]
        for task in done:
            self.running.remove(task)
            self.ended += 1
            if not task.cancelled() and (error := task.exception()) is not None:
                assert isinstance(error, ParlantLocalError), repr(error)

    @rule(stream=st.booleans(), count=st.integers(1, 4))
    def call(self, stream: bool, count: int) -> None:
        async def one() -> None:
            if stream:
                chunks = [chunk async for chunk in self.routed.chat_stream("hello", max_tokens=50)]
                assert chunks[-1].finish_reason == "stop"
            else:
                assert (await self.routed.chat("hello", max_tokens=50)).content

        for _ in range(count):
            self.started += 1
            self.running.append(self.loop.create_task(one()))
        self._settle()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.running:
            data.draw(st.sampled_from(self.running)).cancel()
            self._settle()

    @rule(name=st.sampled_from(NAMES), fault=st.sampled_from([None, "hold", *FAULTS]))
    def behave(self, name: str, fault: Any) -> None:
        if fault == "hold":
            fault = asyncio.Event()
            self.gates.append(fault)
        self.plans[name] = fault
        for backend in self.fleet.opened.get(name, []):
            backend.always = fault

    @rule()
    def release(self) -> None:
        for gate in self.gates:
            gate.set()
        self._settle()

    @rule(name=st.sampled_from(NAMES))
    def swap(self, name: str) -> None:
        async def do() -> None:
            self.routed.set_primary(self._target(name))

        self._run(do())
        self._settle()

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    def reconfigure(self, names: list[str]) -> None:
        async def do() -> None:
            self.routed.set_targets([self._target(name) for name in names])

        self._run(do())
        self._settle()

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def counts_agree(self) -> None:
        in_flight = sum(target["in_flight"] for target in self.routed.stats()["targets"].values())
        assert in_flight == sum(self.routed._pool.in_use.values())
        assert in_flight <= len(self.running)
        assert self.started == self.ended + len(self.running)

    @invariant()
    def the_budget_holds(self) -> None:
        assert self.routed._budget.spent().total + self.routed._budget.reserved <= LIMIT

    @invariant()
    def models_in_use_are_open_and_closed_once(self) -> None:
        for backends in self.fleet.opened.values():
            assert all(backend.closed <= 1 for backend in backends)
            assert all(not (backend.closed and backend.active) for backend in backends)
            assert sum(not backend.closed for backend in backends) <= 1  # never two of one model

    def teardown(self) -> None:
        for gate in self.gates:
            gate.set()
        for name in NAMES:
            self.behave(name, None)
        for _ in range(30):
            self._settle()
        assert not self.running, "a call was lost"
        assert self.routed._budget.reserved == 0
        assert not any(self.routed._pool.in_use.values())
        wanted = {target.id for target in self.routed.targets}
        self._run(self.routed.drained())
        for name, backends in self.fleet.opened.items():
            assert name in wanted or all(backend.closed for backend in backends), "an unwanted model stayed open"
        self.clock.now += 1000
        answer = self._run(self.routed.chat("hello", max_tokens=1)) if wanted - {"cloud"} else None
        assert answer is None or answer.content  # whatever happened, it works again
        self._run(self.routed.close())
        self.loop.close()


TestSwitcherMachine = SwitcherMachine.TestCase
TestSwitcherMachine.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_who_waits_for_a_retired_model_goes_on_when_it_is_wanted_again() -> None:
    """It is in use, so it stays; the call that needs its memory finds none, and asks the next."""
    machine = SwitcherMachine()
    machine.reconfigure(names=["a"])
    machine.behave(fault="hold", name="a")
    machine.behave(fault=InsufficientMemoryError("no room", needed=None, available=None), name="c")
    machine.call(count=1, stream=False)
    machine.reconfigure(names=["c"])
    machine.call(count=1, stream=False)
    machine.reconfigure(names=["a"])
    machine.teardown()
