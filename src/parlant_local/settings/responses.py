"""Responses that are kept for ``previous_response_id``."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["ResponseSettings"]


class ResponseSettings(Section):
    """What ``/v1/responses`` keeps of conversations, in memory only. The oldest go first."""

    max_count: int = Field(default=256, ge=0)
    """Responses kept of each key; of all clients together where there are no keys. 0 keeps none."""

    max_mb: float = Field(default=64.0, gt=0)
    """Size of all that are kept, in MiB of JSON, each with the conversation before it."""

    minutes: float = Field(default=60.0, gt=0)
    """How long a response is kept."""
