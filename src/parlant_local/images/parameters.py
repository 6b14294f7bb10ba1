"""How a picture was made, as one text in its file, in the form that the programs of this field write and read."""

from __future__ import annotations

from parlant_local.images.base import ImageReply, ImageRequest, Picture
from parlant_local.images.png import with_text

__all__ = ["with_parameters"]

_KEYWORD = "parameters"


def with_parameters(picture: Picture, request: ImageRequest, reply: ImageReply) -> bytes:
    """The file of ``picture`` with what is known of its making; the pictures that it started from aren't."""
    return with_text(picture.data, _KEYWORD, _described(picture, request, reply))


def _described(picture: Picture, request: ImageRequest, reply: ImageReply) -> str:
    values = {
        "Steps": reply.steps,
        "Sampler": reply.sampler,
        "CFG scale": None if reply.guidance is None else f"{reply.guidance:g}",
        "Seed": picture.seed,
        "Size": f"{picture.width}x{picture.height}",
        "Denoising strength": None if request.strength is None else f"{request.strength:g}",
        "Model": reply.model,
    }
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(", ".join(f"{name}: {value}" for name, value in values.items() if value is not None))
    return "\n".join(lines)
