"""Pictures and sounds in messages."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["MediaSettings"]


class MediaSettings(Section):
    """Bounds of pictures and sounds in messages. What exceeds one is rejected before a model sees it."""

    max_count: int = Field(default=16, ge=0)
    """Pictures and sounds of one conversation. 0 accepts none."""

    max_mb: float = Field(default=20.0, gt=0)
    """Size of one, as a file, in MB."""

    max_megapixels: float = Field(default=64.0, gt=0)
    """Size of a picture, whatever its file's size."""

    max_side: int = Field(default=2048, ge=64)
    """Pixels of a picture's longer side; larger ones are scaled down to it."""

    max_seconds: float = Field(default=600.0, gt=0)
    """Length of a sound."""
