"""How model files are downloaded."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["DownloadSettings"]


class DownloadSettings(Section):
    connections: int = Field(default=4, ge=1, le=16)
    """Parallel connections per file."""

    stall_seconds: float = Field(default=30.0, gt=0)
    """A connection that receives almost no data for this long is dropped and retried."""

    attempts: int = Field(default=6, ge=1)
    """Consecutive attempts without progress before a download fails; the downloaded part is kept."""

    max_rate_mb: float | None = Field(default=None, gt=0)
    """Limit in MB (10^6 bytes) per second over all connections. None: no limit."""
