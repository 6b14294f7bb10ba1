"""The policy of :mod:`parlant_local.ray.affinity` as a request router of Ray Serve.

It runs wherever calls are sent from, in every replica of the server. What a replica is doing is known by Ray's own count where that is
fresh, else by what was sent from here.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from parlant_local.ray.affinity import CallKey, PrefixAffinity

__all__ = ["PrefixRouter"]

_ONE_BY_ONE = 3
"""Replicas that are tried in their order; after them any that takes the call will do."""


class PrefixRouter(RequestRouter):
    def initialize_state(self, **options: float) -> None:
        """``options``: those of :class:`PrefixAffinity`, as the settings have them."""
        self._policy = PrefixAffinity(**options)  # type: ignore[arg-type]  # states is a whole number, and not given
        self._sent: Counter[str] = Counter()

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True  # once all of them have refused
        replicas = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        ongoing = {name: self._ongoing(replica) for name, replica in replicas.items()}
        order = [replicas[name] for name in self._policy.order(_key(pending_request), ongoing)]
        return [*([replica] for replica in order[:_ONE_BY_ONE]), order[_ONE_BY_ONE:]]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:  # noqa: ARG002  # Ray's signature
        self._policy.sent(_key(pending_request), replica_id.unique_id)
        self._sent[replica_id.unique_id] += 1

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:  # noqa: ARG002  # Ray's signature
        if self._sent[replica_id.unique_id] > 0:  # it may have been refused there
            self._sent[replica_id.unique_id] -= 1

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        super().update_replicas(replicas)
        self._forget_others()

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        super().on_replica_actor_died(replica_id)
        self._forget_others()

    def _ongoing(self, replica: RunningReplica) -> int:
        told = self.replica_queue_len_cache.get(replica.replica_id)
        return max(told or 0, self._sent[replica.replica_id.unique_id])

    def _forget_others(self) -> None:
        here = {replica_id.unique_id for replica_id in self.curr_replicas}
        self._policy.keep(here)
        self._sent = Counter({name: count for name, count in self._sent.items() if name in here})


def _key(pending: PendingRequest) -> CallKey:
    key = pending.args[0] if pending.args else None
    return key if isinstance(key, CallKey) else CallKey("")
