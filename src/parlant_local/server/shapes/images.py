"""Requests for pictures: OpenAI's form, the short API's, and that of jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from parlant_local.server.shapes.common import TO_WHOLE, Listed, Request

__all__ = ["DocumentRequest", "EditForm", "ImageFields", "JobRequest"]

Whole = Annotated[int, Field(ge=0, le=1 << 31), TO_WHOLE]
Seed = Annotated[int, Field(ge=-1, le=(1 << 63) - 1), TO_WHOLE]


class Drawing(Request):
    """What the three forms share. Bounds are the settings' (section images)."""

    prompt: str = Field(min_length=1)
    """What the pictures show."""
    negative_prompt: str | None = None
    """What they don't."""
    model: str | None = None
    """A model that makes pictures, from ``GET /v1/models``; None, or one of OpenAI's own names: the default one."""
    seed: Seed | None = None
    """Of the first picture; the same one makes the same picture again. -1: drawn."""


class Shaped(Drawing):
    n: Annotated[int, Field(ge=1, le=1 << 31), TO_WHOLE] | None = None
    """How many pictures."""
    size: str | None = None
    """``WIDTHxHEIGHT``, or ``auto``: the model's own."""
    steps: Whole | None = None
    num_inference_steps: Whole | None = None
    """Another name of ``steps``."""
    guidance: float | None = None
    """How strictly the prompt is followed."""
    guidance_scale: float | None = None
    """Another name of ``guidance``."""
    sampler: str | None = Field(default=None, max_length=64)
    strength: float | None = None
    """How much of the picture to start from is drawn anew, 0 to 1."""


class ImageFields(Shaped):
    """OpenAI's, and Stable Diffusion's beside them."""

    response_format: Literal["url", "b64_json"] | None = None
    """Default: both."""
    output_format: Literal["png", "jpeg", "webp", "gif", "svg"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100), TO_WHOLE] | None = None
    """The quality of a JPEG or WebP."""
    background: Literal["transparent", "opaque", "auto"] | None = None
    """Transparent is rejected."""
    stream: bool | None = None
    """The pictures come as events."""
    partial_images: Annotated[int, Field(ge=0, le=3), TO_WHOLE] | None = None
    """Unused: models here have none."""
    quality: str | None = None
    """Unused: give ``steps``."""
    style: str | None = None
    """Unused: say it in the prompt."""
    user: str | None = None
    safety_identifier: str | None = None
    moderation: str | None = None
    input_fidelity: str | None = None
    complexity: str | None = None


class EditForm(ImageFields):
    """The same as fields of a form, where everything is text."""

    model_config = ConfigDict(strict=False, extra="allow", use_attribute_docstrings=True, protected_namespaces=())


class JobRequest(Shaped):
    width: Whole | None = None
    """Pixels; instead of ``size``."""
    height: Whole | None = None
    sources: Listed[str] | None = None
    """Pictures to start from: ids of kept ones, or data URIs."""
    mask: str | None = None
    """White, or transparent, where the first of them may change: a data URI."""


class DocumentRequest(Drawing):
    """The short API's: one picture, with Stable Diffusion's usual values."""

    width: Whole | None = None
    """Default: 512."""
    height: Whole | None = None
    """Default: 512."""
    num_inference_steps: Whole | None = None
    """Default: 20."""
    guidance_scale: float | None = None
    """Default: 7.5."""
