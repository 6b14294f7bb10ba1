"""Answers with pictures, and about them."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from parlant_local.server.shapes.answers.common import answer, inlined
from parlant_local.server.shapes.common import Failure

__all__ = [
    "IMAGES",
    "GeneratedImage",
    "ImageItem",
    "ImageJob",
    "ImageList",
    "ImageMetadata",
    "ImageParameters",
    "Images",
    "KeptImage",
    "Removed",
]


@answer
class ImageItem(TypedDict):
    url: NotRequired[str]
    b64_json: NotRequired[str]
    seed: NotRequired[int]


@answer
class Images(TypedDict):
    created: int
    data: list[ImageItem]
    model: str
    output_format: str
    background: str
    size: NotRequired[str]
    """Where all have the same."""


IMAGES = inlined(Images)


@answer
class ImageMetadata(TypedDict):
    prompt: str
    parameters: dict[str, Any]


@answer
class GeneratedImage(TypedDict):
    image_url: str
    metadata: ImageMetadata


@answer
class ImageParameters(TypedDict):
    prompt: str
    negative_prompt: str
    width: int | None
    height: int | None
    steps: int | None
    guidance: float | None
    seed: int | None
    sampler: str | None
    strength: float | None
    edited: bool
    """Whether it starts from another picture."""


@answer
class KeptImage(TypedDict):
    id: str
    job: str
    created: float
    """Seconds since 1970."""
    expires: float
    url: str
    """Below the server's own address."""
    format: str
    size: int
    """Bytes."""
    model: str
    seconds: float | None
    parameters: ImageParameters


@answer
class ImageJob(TypedDict):
    id: str
    state: str
    """queued, running, done, failed or cancelled."""
    created: float
    model: str
    ahead: int
    """Jobs before it, while it is queued."""
    step: int
    steps: int
    """0: not told by what draws it."""
    picture: int
    count: int
    seconds: float | None
    """That it took, once it is done."""
    error: Failure | None
    parameters: ImageParameters
    pictures: list[KeptImage]


@answer
class ImageList(TypedDict):
    jobs: list[ImageJob]
    """Those that have not ended, and those that ended without pictures lately."""
    pictures: list[KeptImage]
    """Kept ones, the newest first."""
    more: bool


@answer
class Removed(TypedDict):
    removed: int
    cancelled: NotRequired[bool]
