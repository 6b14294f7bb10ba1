"""LoRA adapters by name."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["AdapterSettings"]


class AdapterSettings(Section):
    """A LoRA adapter: ``MODEL:NAME`` is a model with it."""

    path: str
    """Its GGUF file."""

    scale: float = Field(default=1.0, ge=-100, le=100)
    """How much of it is added, where a name doesn't say (``MODEL:NAME@0.5``)."""
