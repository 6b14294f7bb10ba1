"""Many backends as one: policy, circuit breakers, permission, budgets and statistics. Knows nothing of Parlant."""

from __future__ import annotations

from parlant_local.switching.budget import TokenBudget
from parlant_local.switching.choice import choose_model
from parlant_local.switching.policy import POLICIES, Candidate, Policy
from parlant_local.switching.report import TargetReport
from parlant_local.switching.resolve import TargetResolver
from parlant_local.switching.routed import RoutedBackend
from parlant_local.switching.stats import CallRecord
from parlant_local.switching.targets import Requirements, Target

__all__ = [
    "POLICIES",
    "CallRecord",
    "Candidate",
    "Policy",
    "Requirements",
    "RoutedBackend",
    "Target",
    "TargetReport",
    "TargetResolver",
    "TokenBudget",
    "choose_model",
]
