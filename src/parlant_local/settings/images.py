"""Pictures made from words."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["ImageSettings"]


class ImageSettings(Section):
    """Which model makes pictures, and bounds of what it is asked for. What exceeds one is rejected before any work."""

    model: str | None = None
    """The model that makes pictures where a request names none: ``<endpoint>`` or ``<endpoint>/<model>``. None: the only one there is."""

    steps: int | None = Field(default=None, ge=1)
    """Steps where a request says nothing; None: the model's own."""

    guidance: float | None = Field(default=None, ge=0)
    """How strictly prompts are followed where a request says nothing; None: the model's own."""

    width: int | None = Field(default=None, ge=64)
    """Pixels where a request says nothing; None: the model's own."""

    height: int | None = Field(default=None, ge=64)
    """Pixels where a request says nothing; None: the model's own."""

    max_megapixels: float = Field(default=4.2, gt=0)
    """Size of a picture that may be asked for, and that a model may return."""

    max_side: int = Field(default=4096, ge=64)
    """Pixels of its longer side."""

    max_steps: int = Field(default=100, ge=1)
    """Steps of one picture."""

    max_count: int = Field(default=4, ge=1, le=32)
    """Pictures of one request."""

    max_prompt_characters: int = Field(default=16_000, ge=1)
    """Characters of a prompt, and of a negative prompt."""

    max_sources: int = Field(default=4, ge=0, le=16)
    """Pictures that one request may start from. 0: none."""

    max_source_mb: float = Field(default=20.0, gt=0)
    """Size of one of them, as a file, in MB."""

    max_source_megapixels: float = Field(default=64.0, gt=0)
    """Its pixels. One with more than ``max_megapixels`` is scaled down to that."""

    max_queue: int = Field(default=16, ge=1)
    """Requests that wait for one model; a further one is refused."""

    served: tuple[str, ...] = ()
    """Further models of endpoints that requests may name: ``<endpoint>`` or ``<endpoint>/<model>``."""

    timeout_seconds: float = Field(default=1800.0, gt=0)
    """Time limit of one request, its wait in a queue apart."""

    keep_hours: float = Field(default=168.0, ge=0)
    """How long the server keeps the pictures that it made. 0: none are kept."""

    keep_mb: float = Field(default=1024.0, ge=0)
    """Size of the folder that holds them, in MB; beyond it the oldest go first."""
