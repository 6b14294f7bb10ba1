"""Which replica takes a call: the one whose prefixes fit it best, weighed against who is busy. Pure; knows no Ray.

A Parlant turn fires some fifteen calls of as many schemas. Three quarters of a prompt are its schema's and its agent's, the same in
every conversation; the rest grows with its session. Different schemas share next to nothing. So a schema has a home, which
rendezvous hashing names without any memory: every router names the same one, and a replica that comes or goes moves only its own
share. What a router has sent is remembered in the shape in which a replica retains it, one state for each schema and session,
least recently used first; so calls that spilled over make a second home, and a conversation goes where it was.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["CallKey", "PrefixAffinity"]


class CallKey(NamedTuple):
    """What of a call decides which computed prefixes serve it. Where the caller named no schema, a session stands alone.

    ``schema`` may be any name of those that share a prompt's head: with many agents, each schema's with each agent has a home of its own.
    """

    model: str
    schema: str = ""
    session: str = ""

    @property
    def group(self) -> tuple[str, str]:
        """Calls of one group share the head of their prompts."""
        return self.model, self.schema or self.session


class PrefixAffinity:
    """Orders replicas for a call: by ongoing requests, plus what would have to be computed there, in the same unit.

    ``head`` and ``history`` are how many requests' time it takes to compute a schema's prompt head, and a conversation so far:
    how much busier than an idle replica one may be to be preferred for having them. Measured, a head is worth some five calls
    that hit; the defaults are larger, since a second home also costs what it displaces there (docs/evidence/routing.md). No
    replica is chosen while another has more than ``head + history`` requests fewer. Where heads are shared through a folder,
    ``head`` is near zero. ``states``: how many states a replica is thought to retain; 0 remembers nothing.
    """

    def __init__(self, *, head: float = 8.0, history: float = 2.0, states: int = 256) -> None:
        if head < 0 or history < 0 or states < 0:
            raise ValueError("head, history and states are counts: none is negative.")
        self._head = head
        self._history = history
        self._states = states
        self._retained: dict[str, _Retained] = {}

    def order(self, call: CallKey, ongoing: Mapping[str, int | None]) -> list[str]:
        """All replicas of ``ongoing``, best first. A count that is not known (``None``) is taken for the mean of the others."""
        if not ongoing:
            return []
        group, key = call.group, (call.group, call.session)
        weights, home = _weights(tuple(ongoing), *group)
        known = [count for count in ongoing.values() if count is not None]
        mean = sum(known) / len(known) if known else 0.0
        ranked = []
        for replica, count in ongoing.items():
            retained = self._retained.get(replica)
            missing, weight = self._head + self._history, weights[replica]
            if replica == home or (retained is not None and group in retained.groups):
                has_session = retained is not None and call.session != "" and key in retained.states
                missing = 0.0 if has_session else self._history
                # Among those with the head, each session prefers another one; elsewhere, all calls of a group the same one.
                weight = _weight(replica, *group, call.session)
            ranked.append(((mean if count is None else count) + missing, missing, -weight, replica))
        ranked.sort()
        return [replica for _, _, _, replica in ranked]

    def sent(self, call: CallKey, replica: str) -> None:
        """``call`` went to ``replica``, which has its prefix from now on: what is being computed is shared, too."""
        if self._states:
            self._retained.setdefault(replica, _Retained(self._states)).add(call)

    def keep(self, replicas: Iterable[str]) -> None:
        """Forgets all replicas but these."""
        there = set(replicas)
        self._retained = {replica: retained for replica, retained in self._retained.items() if replica in there}


class _Retained:
    """What one replica is thought to have, least recently used first."""

    def __init__(self, limit: int) -> None:
        self.groups: Counter[tuple[str, str]] = Counter()
        self.states: OrderedDict[tuple[tuple[str, str], str], None] = OrderedDict()
        self._limit = limit

    def add(self, call: CallKey) -> None:
        key = call.group, call.session
        if key in self.states:
            self.states.move_to_end(key)
            return
        self.states[key] = None
        self.groups[call.group] += 1
        if len(self.states) > self._limit:
            (group, _), _ = self.states.popitem(last=False)
            self.groups[group] -= 1
            if not self.groups[group]:
                del self.groups[group]


@functools.lru_cache(maxsize=1024)
def _weights(replicas: tuple[str, ...], *of: str) -> tuple[Mapping[str, int], str]:
    """Each replica's weight, and whose is the largest."""
    weights = {replica: _weight(replica, *of) for replica in replicas}
    return weights, max(replicas, key=lambda replica: (weights[replica], replica))


@functools.lru_cache(maxsize=65_536)
def _weight(replica: str, *of: str) -> int:
    """The same in every process and run, other than ``hash``; parts can't run into each other."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (replica, *of):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return int.from_bytes(digest.digest(), "big")
