"""The conversation in the terminal."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["ChatSettings"]


class ChatSettings(Section):
    history: bool = True
    """Keep what was typed for the next session, in the home, readable by its owner only."""

    history_messages: int = Field(default=1000, ge=1, le=100_000)
    """Typed messages that are kept."""

    markdown: bool = True
    """Render answers as Markdown in a terminal."""
