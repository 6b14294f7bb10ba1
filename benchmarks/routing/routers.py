"""Ours, and what it is compared with. A router sees the ongoing requests of each replica, and the call."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping

from benchmarks.routing.turn import Asked
from parlant_local.ray.affinity import CallKey, PrefixAffinity

__all__ = ["ROUTERS", "Affinity", "Router"]

MODEL = "model"


class Router:
    """``choose`` names the replica for a call; ``changed`` tells which there are."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names: list[str] = []

    def changed(self, names: list[str]) -> None:
        self.names = names

    def choose(self, call: Asked, ongoing: Mapping[str, int | None]) -> str:
        raise NotImplementedError


class Any_(Router):
    """At random."""

    def choose(self, call: Asked, ongoing: Mapping[str, int | None]) -> str:
        return self.random.choice(self.names)


class RoundRobin(Router):
    """One after the other."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._count = itertools.count()

    def choose(self, call: Asked, ongoing: Mapping[str, int | None]) -> str:
        return self.names[next(self._count) % len(self.names)]


class TwoChoices(Router):
    """The less busy of two at random, as Ray does by itself."""

    def choose(self, call: Asked, ongoing: Mapping[str, int | None]) -> str:
        one, other = (self.names[self.random.randrange(len(self.names))] for _ in range(2))
        return one if (ongoing[one] or 0) <= (ongoing[other] or 0) else other


class Affinity(Router):
    """``parlant_local.ray.affinity``, in as many routers as there are; calls come to them at random."""

    def __init__(
        self,
        seed: int,
        *,
        routers: int = 1,
        head: float = 8.0,
        history: float = 2.0,
        key: Callable[[Asked], CallKey] | None = None,
    ) -> None:
        super().__init__(seed)
        self._policies = [PrefixAffinity(head=head, history=history) for _ in range(routers)]
        self._key = key or by_agent

    def changed(self, names: list[str]) -> None:
        super().changed(names)
        for policy in self._policies:
            policy.keep(names)

    def choose(self, call: Asked, ongoing: Mapping[str, int | None]) -> str:
        policy, key = self.random.choice(self._policies), self._key(call)
        replica = policy.order(key, ongoing)[0]
        policy.sent(key, replica)
        return replica


def by_agent(call: Asked) -> CallKey:
    """Schema and agent together name what heads are shared by."""
    return CallKey(MODEL, f"{call.schema}@{call.agent}", call.session)


def by_schema(call: Asked) -> CallKey:
    return CallKey(MODEL, call.schema, call.session)


def by_session(call: Asked) -> CallKey:
    """What sticky sessions are: all of a session at one place."""
    return CallKey(MODEL, "", call.session)


ROUTERS: dict[str, Callable[[int], Router]] = {
    "ours": Affinity,
    "ours, four routers": lambda seed: Affinity(seed, routers=4),
    "ours, agents not told": lambda seed: Affinity(seed, key=by_schema),
    "sticky sessions": lambda seed: Affinity(seed, key=by_session),
    "two choices": TwoChoices,
    "round robin": RoundRobin,
    "random": Any_,
}
