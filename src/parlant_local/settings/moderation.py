"""Moderation of customers' messages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["ModerationSettings"]


class ModerationSettings(Section):
    mode: Literal["auto", "model", "openai", "none"] = "auto"
    """auto: a guard model if one is set, else the chat model (never the bundled tiny one, which can't moderate)."""

    model: str | None = None
    """A guard model: catalogue id, reference or GGUF path."""

    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which a message is flagged."""

    on_failure: Literal["closed", "open"] = "closed"
    """closed: a message that could not be checked is flagged; open: it passes, with an error in the log."""
