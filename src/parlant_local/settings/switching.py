"""Which model answers, and when a fallback may."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["BreakerSettings", "BudgetSettings", "SwitcherSettings", "TargetSettings"]


class BreakerSettings(Section):
    """The circuit breaker of each target."""

    failure_threshold: int = Field(default=3, ge=1)
    """Consecutive failures that open the breaker."""

    failure_ratio: float = Field(default=0.5, gt=0, le=1)
    """Or this ratio of failures within the window."""

    min_calls: int = Field(default=5, ge=1)
    """Calls that the window must contain before the ratio counts."""

    window_seconds: float = Field(default=60.0, gt=0)
    cooldown_seconds: float = Field(default=15.0, gt=0)
    """How long the breaker stays open before a probe; doubles up to the maximum after each failed probe."""

    max_cooldown_seconds: float = Field(default=300.0, gt=0)


class BudgetSettings(Section):
    """Tokens that remote targets may cost; None: no limit. Days are UTC days."""

    daily_tokens: int | None = Field(default=None, ge=0)
    total_tokens: int | None = Field(default=None, ge=0)


class TargetSettings(Section):
    """Facts about a target that policies and Parlant's hints choose by."""

    cost_per_million_tokens: float = Field(default=0.0, ge=0)
    """In any one currency; the statistics report cost by it."""

    quality: float | None = None
    """A rank, higher is better. None: by the number of parameters, where known."""

    model_size: Literal["nano", "mini", "large"] | None = None
    model_generation: Literal["stable", "latest"] | None = None
    model_type: Literal["standard", "reasoning"] | None = None


class SwitcherSettings(Section):
    fallbacks: tuple[str, ...] = ()
    """Model ids tried in this order after the default one."""

    policy: Literal["local_first", "fastest", "cheapest", "quality", "explicit"] = "local_first"
    allow_cloud: Literal["never", "fallback", "always"] = "never"
    """Whether prompts may leave this machine: never, only when local targets fail, or always."""

    deadline_seconds: float = Field(default=120.0, gt=0)
    """Time limit of all remote attempts of a call together; local ones have the engine's stall limit."""

    max_attempts: int = Field(default=2, ge=1, le=10)
    """Attempts at one target while another one is left to try; where none is, one more (1: no retries)."""

    max_chain_attempts: int = Field(default=5, ge=1, le=50)
    """Attempts of one call over all targets."""

    breaker: BreakerSettings = BreakerSettings()
    budget: BudgetSettings = BudgetSettings()
    targets: dict[str, TargetSettings] = Field(default_factory=dict)
    """By model id."""
