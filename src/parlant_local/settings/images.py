"""Pictures made from words."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from parlant_local.settings.section import Section

__all__ = ["ImageModelSettings", "ImageSettings"]


class ImageModelSettings(Section):
    """A model that makes pictures on this machine: its files, each a path or a model of the catalogue, and what it draws best with."""

    path: str | None = None
    """A whole checkpoint, or a diffusion model alone (.safetensors or .gguf)."""

    vae: str | None = None
    """Turns what the model computes into pixels, where the checkpoint doesn't hold it."""

    taesd: str | None = None
    """A small, quick one to use instead of ``vae`` (TAESD)."""

    clip_l: str | None = None
    """Text encoders, where the checkpoint doesn't hold them. So are the next ones."""
    clip_g: str | None = None
    t5xxl: str | None = None
    llm: str | None = None

    steps: int | None = Field(default=None, ge=1)
    """Steps where neither the request nor ``images.steps`` says. None: as usual for its architecture; so are the next ones."""
    guidance: float | None = Field(default=None, ge=0)
    width: int | None = Field(default=None, ge=64)
    height: int | None = Field(default=None, ge=64)
    sampler: str | None = None
    """``euler``, ``euler_a``, ``dpm++2m`` and so on."""

    distilled_guidance: float = Field(default=3.5, ge=0)
    """The guidance that a distilled model (FLUX.1 dev) was given as an input."""

    edits: Literal["auto", "redraw", "reference", "none"] = "auto"
    """What it does with a picture to start from: draws it anew by ``strength``, or looks at it as models trained for edits do. auto: by
    its architecture and its files' names."""

    threads: int | None = Field(default=None, ge=1)
    """None: the usable physical cores."""

    flash_attention: bool = False
    """Saves memory of large pictures; on processors it takes longer."""

    offload: bool = False
    """Keep weights in the machine's memory and move them to the GPU part by part."""

    memory_mb: int | None = Field(default=None, ge=1)
    """What it takes at the most. None: estimated from its files and the size of the picture."""

    @model_validator(mode="after")
    def _has_no_strays(self) -> Self:
        if self.path is None and (stray := [name for name in _COMPANIONS if getattr(self, name) is not None]):
            raise ValueError(f"{stray[0]} is given without path, the model that it belongs to")
        return self


_COMPANIONS = ("vae", "taesd", "clip_l", "clip_g", "t5xxl", "llm")


class ImageSettings(Section):
    """Which model makes pictures, and bounds of what it is asked for. What exceeds one is rejected before any work."""

    model: str | None = None
    """The model that makes pictures where a request names none: ``<endpoint>``, ``<endpoint>/<model>`` or a name in ``models``. None: the
    only one there is."""

    models: dict[str, ImageModelSettings] = Field(default_factory=dict)
    """Models that make pictures on this machine, by the names that requests give."""

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

    stall_seconds: float = Field(default=600.0, gt=0)
    """How long a model on this machine may show no progress (no step, no word of the library) before it is ended."""

    keep_hours: float = Field(default=168.0, ge=0)
    """How long the server keeps the pictures that it made. 0: none are kept."""

    keep_mb: float = Field(default=1024.0, ge=0)
    """Size of the folder that holds them, in MB; beyond it the oldest go first."""
