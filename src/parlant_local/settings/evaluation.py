"""The examination of models."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["EvaluationSettings"]


class EvaluationSettings(Section):
    at_once: int = Field(default=4, ge=1, le=64)
    """Cases that run at once; each makes several calls at a time."""

    holds: float = Field(default=0.9, gt=0, le=1)
    """Share of right decisions from which a model is said to hold a family of them."""
