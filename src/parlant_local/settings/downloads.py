"""How model files are fetched."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["DownloadSettings"]


class DownloadSettings(Section):
    connections: int = Field(default=4, ge=1, le=16)
    """Parallel connections per file."""

    stall_seconds: float = Field(default=30.0, gt=0)
    """A connection that brings next to nothing for this long is dropped and tried again."""

    attempts: int = Field(default=6, ge=1)
    """Tries in a row without progress before a download gives up; what was fetched is kept."""

    max_rate_mb: float | None = Field(default=None, gt=0)
    """Limit in MB (10^6 bytes) per second over all connections. None: no limit."""
