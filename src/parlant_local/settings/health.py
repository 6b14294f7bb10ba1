"""When a service is slow or degraded."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["HealthSettings"]


class HealthSettings(Section):
    """When the health reports of Parlant and of the server speak up."""

    slow_times: float = Field(default=3.0, gt=1)
    """Parlant's report calls a kind of call slow from this many times its usual seconds on, as they were measured here."""

    start_times: float = Field(default=20.0, ge=1)
    """How many times Parlant's own thresholds, which are meant for clouds, hold until the first calls were measured."""

    waiting: int = Field(default=16, ge=1)
    """The server is degraded while at least so many requests wait for one model."""

    evictions: int = Field(default=10, ge=1)
    """The server is degraded when within half an hour so many models were unloaded for others' memory."""

    fallback_seconds: float = Field(default=300.0, gt=0)
    """For how long after an answer of a fallback the server is degraded."""
