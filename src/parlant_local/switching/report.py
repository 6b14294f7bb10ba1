"""A switcher's reports on its targets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from parlant_local.switching.attempts import Attempts
from parlant_local.switching.breaker import BreakerState
from parlant_local.switching.budget import TokenBudget
from parlant_local.switching.pool import BackendPool
from parlant_local.switching.privacy import PrivacyGate
from parlant_local.switching.roster import Roster
from parlant_local.switching.targets import Target

__all__ = ["TargetReport", "report_on", "statistics"]


@dataclass(frozen=True, slots=True)
class TargetReport:
    """One target, as it is now."""

    id: str
    primary: bool
    remote: bool
    blocked: bool
    """Configured, but sending prompts off this machine is disabled."""
    loaded: bool
    healthy: bool
    breaker: BreakerState
    capabilities: frozenset[str]
    n_ctx: int | None
    memory_bytes: int | None
    in_flight: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"capabilities": sorted(self.capabilities)}


def report_on(target: Target, roster: Roster, attempts: Attempts, pool: BackendPool) -> TargetReport:
    opened = pool.peek(target.id)
    info = target.described(opened)
    breaker = attempts.breaker(target.id)
    return TargetReport(
        id=target.id,
        primary=target.id == roster.primary,
        remote=target.remote,
        blocked=not roster.usable(target),
        loaded=opened is not None and info.loaded,
        healthy=breaker.state == "closed",
        breaker=breaker.state,
        capabilities=info.capabilities,
        n_ctx=info.n_ctx,
        memory_bytes=info.memory_bytes if opened is not None else None,
        in_flight=pool.in_use.get(target.id, 0),
    )


def statistics(roster: Roster, attempts: Attempts, gate: PrivacyGate, budget: TokenBudget) -> dict[str, Any]:
    remote = {target.id for target in roster.all if target.remote}
    calls = sum(stats.total.calls for name, stats in attempts.stats.items() if name in remote)
    remote_stats: dict[str, Any] = {"allow_cloud": gate.allow_cloud, "calls": calls, "reserved": budget.reserved}
    spent = budget.known()
    if error := budget.read_error:
        remote_stats["error"] = error
    else:
        remote_stats |= {"tokens_today": spent.today, "tokens_total": spent.total}
    return {"primary": roster.primary, "targets": attempts.snapshot(), "remote": remote_stats}
