"""What a switcher tells about its targets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from parlant_local.switching.breaker import BreakerState

__all__ = ["TargetReport"]


@dataclass(frozen=True, slots=True)
class TargetReport:
    """One target, as it is now."""

    id: str
    primary: bool
    remote: bool
    blocked: bool
    """Configured, but nobody allowed prompts to leave this machine."""
    loaded: bool
    healthy: bool
    breaker: BreakerState
    capabilities: frozenset[str]
    n_ctx: int | None
    memory_bytes: int | None
    in_flight: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"capabilities": sorted(self.capabilities)}
