"""The clock: conversations that take turns, a router, replicas. Deterministic by its seed."""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.routing.replicas import Budget, Group, Rates, Replica, Running, Store
from benchmarks.routing.routers import Router
from benchmarks.routing.turn import STAGES, Asked, calls_of

__all__ = ["Outcome", "Scenario", "replay", "simulate"]

REPLY = STAGES - 2
"""The stage after which the customer has an answer."""


@dataclass(frozen=True)
class Scenario:
    rates: Rates
    budget: Budget
    replicas: int = 100
    sessions: int = 10_000
    turns: int = 3
    agents: int = 20
    think: float = 60.0
    """Seconds between a reply and the next message, on average; sessions begin within one of it."""
    at_once: int | None = None
    """Sessions that are open at once, each beginning when another has ended; None: as they come."""
    shared_folder: bool = False
    calls: Callable[[int, str, int], Iterable[list[Asked]]] = calls_of
    """Of an agent, a session and a turn, stage by stage."""
    replaced: int = 0
    """So many replicas die a third of ``think`` after the last session began, and as many new ones come."""


@dataclass
class Outcome:
    prompt: int = 0
    reused: int = 0
    replies: list[float] = field(default_factory=list)
    """Seconds from a message to its reply."""
    worked: list[float] = field(default_factory=list)
    """Seconds of work, by replica that is there at the end."""
    work: float = 0.0
    """Of all, those that died included."""
    sent_again: int = 0
    calls: int = 0
    seconds: float = 0.0

    @property
    def hit_rate(self) -> float:
        return self.reused / self.prompt

    @property
    def imbalance(self) -> float:
        """The busiest replica's work, the mean being 1."""
        return max(self.worked) / statistics.fmean(self.worked)

    def percentile(self, percent: int) -> float:
        ordered = sorted(self.replies)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


@dataclass(eq=False, slots=True)
class _Turn:
    agent: int
    session: str
    number: int
    begun: float
    stages: list[list[Asked]]
    stage: int = 0
    waiting: int = 0


class _Clock:
    def __init__(self, scenario: Scenario, router: Router, seed: int) -> None:
        self.scenario = scenario
        self.router = router
        self.random = random.Random(seed)
        self.folder: OrderedDict[Group, int] | None = OrderedDict() if scenario.shared_folder else None
        self.numbers = itertools.count()
        self.sessions = itertools.count()
        self.replicas: dict[str, Replica] = {}
        self.gone: list[Replica] = []
        self.ongoing: dict[str, int | None] = {}
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.sequence = itertools.count()
        self.outcome = Outcome()

    def at(self, time: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (time, next(self.sequence), what))

    def run(self) -> Outcome:
        self.come(self.scenario.replicas)
        for _ in range(self.scenario.at_once or self.scenario.sessions):
            self.begin_session(self.random.uniform(0, self.scenario.think))
        if self.scenario.replaced:
            self.at(self.scenario.think * 4 / 3, self.replace)
        now = 0.0
        while self.events:
            now, _, what = heapq.heappop(self.events)
            what(now)
        all_ = [*self.replicas.values(), *self.gone]
        self.outcome.worked = [replica.worked for replica in self.replicas.values()]
        self.outcome.work = sum(replica.worked for replica in all_)
        self.outcome.prompt = sum(replica.prompt for replica in all_)
        self.outcome.reused = sum(replica.reused for replica in all_)
        self.outcome.seconds = now
        return self.outcome

    def begin_session(self, at: float) -> None:
        number = next(self.sessions)
        if number < self.scenario.sessions:
            agent = self.random.randrange(self.scenario.agents)
            self.at(at, self._turn(agent, f"s{number}", 0))

    def come(self, count: int) -> None:
        for _ in range(count):
            name = f"replica-{next(self.numbers)}"
            self.replicas[name] = Replica(name, Store(self.scenario.budget, self.folder), self.scenario.rates)
            self.ongoing[name] = 0
        self.router.changed(list(self.replicas))

    def replace(self, now: float) -> None:
        lost: list[Running] = []
        for name in self.random.sample(sorted(self.replicas), self.scenario.replaced):
            dead = self.replicas.pop(name)
            del self.ongoing[name]
            self.gone.append(dead)
            lost += dead.lost()
        self.come(self.scenario.replaced)
        self.outcome.sent_again += len(lost)
        for call in lost:
            self.send(call, now)

    def _turn(self, agent: int, session: str, number: int) -> Callable[[float], None]:
        def begin(now: float) -> None:
            turn = _Turn(agent, session, number, now, list(self.scenario.calls(agent, session, number)))
            self.fire(turn, now)

        return begin

    def fire(self, turn: _Turn, now: float) -> None:
        """The calls of the turn's stage."""
        turn.waiting = len(turn.stages[turn.stage])
        for asked in turn.stages[turn.stage]:
            self.outcome.calls += 1
            self.send(Running(asked, turn), now)

    def send(self, call: Running, now: float) -> None:
        replica = self.replicas[self.router.choose(call.asked, self.ongoing)]
        replica.add(call, now)
        self._expect(replica)

    def _expect(self, replica: Replica) -> None:
        self.ongoing[replica.name] = replica.ongoing
        if (end := replica.next_end()) is None:
            return
        version = replica.version

        def ended(now: float) -> None:
            if replica.version == version and self.replicas.get(replica.name) is replica:
                call = replica.finish(now)
                self._expect(replica)
                self.done(call, now)

        self.at(end, ended)

    def done(self, call: Running, now: float) -> None:
        turn = call.turn
        assert isinstance(turn, _Turn)
        turn.waiting -= 1
        if turn.waiting:
            return
        if turn.stage == min(REPLY, len(turn.stages) - 1):
            self.outcome.replies.append(now - turn.begun)
            if turn.number + 1 < self.scenario.turns:
                pause = self.random.expovariate(1.0) * self.scenario.think
                self.at(now + pause, self._turn(turn.agent, turn.session, turn.number + 1))
            elif self.scenario.at_once:
                self.begin_session(now)
        turn.stage += 1
        if turn.stage < len(turn.stages):
            self.fire(turn, now)


def simulate(scenario: Scenario, router: Router, seed: int = 1) -> Outcome:
    return _Clock(scenario, router, seed).run()


def replay(store: Store, rates: Rates, turns: Sequence[tuple[str, int]]) -> tuple[float, int, int]:
    """Turns one after the other on one replica: seconds, tokens of prompts, tokens reused."""
    replica = Replica("alone", store, rates)
    now = 0.0
    for session, number in turns:
        for stage in calls_of(0, session, number):
            for asked in stage:
                replica.add(Running(asked, None), now)
            for _ in stage:
                end = replica.next_end()
                assert end is not None
                now = end
                replica.finish(now)
    return now, replica.prompt, replica.reused
