"""The protocol of what makes pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from parlant_local.backends.handle import ModelHandle
from parlant_local.brief import Brief

__all__ = ["ImageBackend", "ImageModel", "ImageProgress", "ImageReply", "ImageRequest", "OnProgress", "Picture"]


@dataclass(frozen=True, slots=True, repr=False)
class ImageRequest(Brief):
    """One job: ``count`` pictures of one description. ``None`` leaves a value to the model."""

    prompt: str
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    """Pixels; a backend may round them to what its model can draw, and says so in the picture."""
    count: int = 1
    steps: int | None = None
    guidance: float | None = None
    """How strictly the prompt is followed (classifier-free guidance); 1 leaves the negative prompt unread."""
    seed: int | None = None
    """Of the first picture; the next ones count on. None: drawn, and told in the picture."""
    sampler: str | None = None
    sources: tuple[bytes, ...] = field(default=(), repr=False)
    """Pictures to start from, as PNG, JPEG or WebP. With any, this is an edit."""
    mask: bytes | None = field(default=None, repr=False)
    """White where the source may change. As large as the source."""
    strength: float | None = None
    """How much of a source is drawn anew, from 0 to 1."""


@dataclass(frozen=True, slots=True, repr=False)
class Picture(Brief):
    """A finished picture. ``data``: a PNG file."""

    data: bytes = field(repr=False)
    width: int
    height: int
    seed: int | None = None
    """None where the backend does not tell."""


@dataclass(frozen=True, slots=True, repr=False)
class ImageReply(Brief):
    pictures: tuple[Picture, ...]
    model: str
    steps: int | None = None
    """As they were; None where the backend does not tell. So are the next ones."""
    guidance: float | None = None
    sampler: str | None = None
    seconds: float = 0.0
    """From the start of the work to its end, the wait before it apart."""


@dataclass(frozen=True, slots=True)
class ImageProgress:
    """How far a job is. ``steps`` is 0 where the backend can't tell."""

    step: int
    steps: int
    picture: int = 1
    count: int = 1
    queued: int = 0
    """Jobs before this one at the backend; nothing is drawn until it is 0."""


OnProgress: TypeAlias = Callable[[ImageProgress], None]


@dataclass(frozen=True, slots=True, repr=False)
class ImageModel(Brief):
    """What is known of a model; ``None`` where unknown."""

    id: str
    name: str = ""
    architecture: str | None = None
    remote: bool = False
    """Whether prompts leave this machine."""
    edits: bool = False
    """Whether it takes pictures to start from."""
    controls: bool = True
    """Whether it takes steps, guidance, seeds and negative prompts."""
    width: int | None = None
    height: int | None = None
    """What it draws where nothing is said."""
    memory_bytes: int | None = None
    loaded: bool = False


class ImageBackend(ModelHandle[ImageModel]):
    """Something that makes pictures. Every method may raise any :class:`ParlantLocalError`; cancelling the task cancels the work."""

    @abstractmethod
    async def generate(self, request: ImageRequest, on_progress: OnProgress | None = None) -> ImageReply:
        """``request.count`` pictures. :class:`BadRequestError` for what this model can't do.

        ``on_progress`` is called in the event loop, and must not block.
        """
