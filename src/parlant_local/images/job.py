"""What the child is asked to draw: a request, with what nobody said filled in by the model's settings and its architecture."""

from __future__ import annotations

import secrets
from typing import Any

from parlant_local.images.architectures import usual
from parlant_local.images.base import ImageRequest
from parlant_local.images.files import ModelFiles
from parlant_local.images.png import size_of
from parlant_local.settings.images import ImageModelSettings

__all__ = ["job_of", "usual_size"]

_STRENGTH = 0.75


def job_of(request: ImageRequest, files: ModelFiles, model: ImageModelSettings) -> dict[str, Any]:
    known = usual(files.architecture)
    width, height = request.width or request.height, request.height or request.width
    if width is None or height is None:
        width, height = usual_size(files, model)
        if request.sources:
            width, height = _within(size_of(request.sources[0]), width * height)
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "width": _rounded(width, known.multiple),
        "height": _rounded(height, known.multiple),
        "count": request.count,
        "steps": request.steps or model.steps or known.steps,
        "guidance": _first(request.guidance, model.guidance, known.guidance),
        "distilled_guidance": model.distilled_guidance,
        "seed": secrets.randbelow(2**31) if request.seed is None else request.seed,
        "sampler": request.sampler or model.sampler,
        "strength": _first(request.strength, _STRENGTH),
        "reference": model.edits == "reference" or (model.edits == "auto" and files.for_edits),
        "mask": request.mask is not None,
    }


def usual_size(files: ModelFiles, model: ImageModelSettings) -> tuple[int, int]:
    """A side alone means a square."""
    side = usual(files.architecture).side
    return model.width or model.height or side, model.height or model.width or side


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _rounded(side: int, multiple: int) -> int:
    return max(multiple, round(side / multiple) * multiple)


def _within(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """A source's size, or one of its proportions with as many pixels as the model draws best."""
    width, height = size
    scale = min(1.0, (pixels / (width * height)) ** 0.5)
    return round(width * scale), round(height * scale)
