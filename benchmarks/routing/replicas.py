"""A replica on paper: what it retains, as docs/engine.md has it, and calls that share its time."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from benchmarks.routing.turn import Asked

__all__ = ["Budget", "Rates", "Replica", "Running", "Store"]

Group = tuple[int, str]


@dataclass(frozen=True)
class Rates:
    """Seconds of a whole replica: for a prompt token that is computed, and for a character of an answer."""

    token: float
    character: float

    def seconds(self, computed: int, answer: int) -> float:
        return computed * self.token + answer * self.character


@dataclass(frozen=True)
class Budget:
    """Tokens of states that a replica retains in memory, and of heads on its disk."""

    memory: int
    disk: int


class Store:
    """Whole states by agent, schema and session; and heads that two sessions had in common, on disk or in a folder for all."""

    def __init__(self, budget: Budget, folder: OrderedDict[Group, int] | None = None) -> None:
        self._budget = budget
        self._states: OrderedDict[tuple[Group, str], tuple[int, int]] = OrderedDict()
        self._tokens = 0
        self._groups: Counter[Group] = Counter()
        self._heads = OrderedDict[Group, int]() if folder is None else folder
        self._seen: dict[Group, str] = {}

    def take(self, call: Asked) -> int:
        """How many tokens of a prompt need not be computed; the prompt is retained from now on."""
        group, reused = (call.agent, call.schema), 0
        if (state := self._states.get((group, call.session))) is not None:
            reused = call.head + min(state[0], call.history)
        elif self._groups[group] or group in self._heads:
            reused = call.head
        if group in self._heads:
            self._heads.move_to_end(group)
        elif self._seen.setdefault(group, call.session) != call.session:
            self._heads[group] = call.head
            while sum(self._heads.values()) > self._budget.disk:
                self._heads.popitem(last=False)
        self._retain(group, call)
        return reused

    def restart(self) -> None:
        """The process ends, its disk stays."""
        self._states.clear()
        self._groups.clear()
        self._tokens = 0

    def _retain(self, group: Group, call: Asked) -> None:
        if (before := self._states.pop((group, call.session), None)) is not None:
            self._tokens -= before[1]
            self._groups[group] -= 1
        self._states[group, call.session] = call.history, call.tokens
        self._tokens += call.tokens
        self._groups[group] += 1
        while self._tokens > self._budget.memory:
            (oldest, _), (_, tokens) = self._states.popitem(last=False)
            self._tokens -= tokens
            self._groups[oldest] -= 1


@dataclass(eq=False, slots=True)
class Running:
    """A call on its way; ``turn`` is whoever waits for it."""

    asked: Asked
    turn: object
    tries: int = 0


class Replica:
    """Calls that run share the time equally, ``slots`` of them at once; the others wait in turn."""

    def __init__(self, name: str, store: Store, rates: Rates, slots: int = 9) -> None:
        self.name = name
        self.store = store
        self.worked = 0.0
        self.prompt = self.reused = self.version = 0
        self._rates = rates
        self._slots = slots
        self._queue: deque[Running] = deque()
        self._active: list[tuple[float, int, Running]] = []
        self._served = self._at = 0.0
        self._order = itertools.count()

    @property
    def ongoing(self) -> int:
        return len(self._active) + len(self._queue)

    def add(self, call: Running, now: float) -> None:
        self._advance(now)
        self._queue.append(call)
        self._start()

    def finish(self, now: float) -> Running:
        """Takes the call out that ends now."""
        self._advance(now)
        _, _, call = heapq.heappop(self._active)
        self._start()
        return call

    def next_end(self) -> float | None:
        """When the first of the running calls ends, if nothing is added before."""
        if not self._active:
            return None
        return self._at + max(0.0, self._active[0][0] - self._served) * len(self._active)

    def lost(self) -> list[Running]:
        """All calls that it had, when it dies."""
        return [call for _, _, call in self._active] + list(self._queue)

    def _advance(self, now: float) -> None:
        if self._active:
            self._served += (now - self._at) / len(self._active)
        self._at = now
        self.version += 1

    def _start(self) -> None:
        while self._queue and len(self._active) < self._slots:
            call = self._queue.popleft()
            reused = self.store.take(call.asked)
            work = self._rates.seconds(call.asked.tokens - reused, call.asked.answer)
            self.prompt += call.asked.tokens
            self.reused += reused
            self.worked += work
            heapq.heappush(self._active, (self._served + work, next(self._order), call))
