"""stable-diffusion.cpp's own API (``/sdcpp/v1``) as data: what a server can do, requests, jobs, and what its pictures say."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parlant_local.errors import BadRequestError
from parlant_local.images.base import ImageRequest
from parlant_local.images.png import texts_of

__all__ = ["Capabilities", "Job", "Told", "img_gen_body", "told_by"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LIMITS = {"min_width": 64, "max_width": 4096, "min_height": 64, "max_height": 4096, "max_batch_count": 8}
_MAX_NAMES = 500


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Of ``/sdcpp/v1/capabilities``, what is used here."""

    model: str
    makes_pictures: bool
    edits: bool
    width: int | None
    height: int | None
    samplers: tuple[str, ...]
    limits: Mapping[str, int]

    @classmethod
    def of(cls, data: Any) -> Capabilities | None:
        """``None`` for what is no such answer."""
        if not isinstance(data, Mapping) or not isinstance(data.get("model"), Mapping) or "limits" not in data:
            return None
        defaults, features = _of_mode(data, "defaults"), _of_mode(data, "features")
        modes = data.get("supported_modes")
        limits = data["limits"] if isinstance(data["limits"], Mapping) else {}
        return cls(
            model=str(data["model"].get("stem") or data["model"].get("name") or "")[:200],
            makes_pictures="img_gen" in modes if isinstance(modes, list) else True,
            edits=features.get("init_image") is True,
            width=_whole(defaults.get("width")),
            height=_whole(defaults.get("height")),
            samplers=tuple(filter(_is_text, _listed(data.get("samplers"))))[:_MAX_NAMES],
            limits={name: _whole(limits.get(name)) or usual for name, usual in _LIMITS.items()},
        )

    def check(self, request: ImageRequest, target: str) -> None:
        """Raises :class:`BadRequestError` for what this server would refuse, or not heed."""
        if not self.makes_pictures:
            raise BadRequestError(
                f"The model {self.model} of {target} makes no pictures.", hint="Start sd-server with another."
            )
        for name, value in (("width", request.width), ("height", request.height)):
            low, high = self.limits[f"min_{name}"], self.limits[f"max_{name}"]
            if value is not None and not low <= value <= high:
                raise BadRequestError(f"{target} draws a {name} of {low} to {high} pixels, not {value}.", field="size")
        if request.sampler and self.samplers and request.sampler not in self.samplers:
            known = ", ".join(self.samplers[:40])
            raise BadRequestError(
                f"{target} has no sampler {request.sampler!r}.", hint=f"It has {known}.", field="sampler"
            )
        if request.sources and not self.edits:
            raise BadRequestError(f"{target} can't start from pictures.", field="image")


def img_gen_body(request: ImageRequest, *, seed: int, count: int) -> dict[str, Any]:
    """Only what was asked for: the rest is the server's own."""
    sampling: dict[str, Any] = {}
    if request.steps is not None:
        sampling["sample_steps"] = request.steps
    if request.sampler:
        sampling["sample_method"] = request.sampler
    if request.guidance is not None:
        sampling["guidance"] = {"txt_cfg": request.guidance}
    body: dict[str, Any] = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": seed,
        "batch_count": count,
        "embed_image_metadata": True,  # says what the server chose
        "output_format": "png",
        "sample_params": sampling,
    }
    if request.width is not None and request.height is not None:
        body |= {"width": request.width, "height": request.height}
    if request.strength is not None:
        body["strength"] = request.strength
    if request.sources:
        sources = [base64.b64encode(source).decode() for source in request.sources]
        body["init_image"] = sources[0]
        if request.mask is not None:
            body["mask_image"] = base64.b64encode(request.mask).decode()
        elif request.strength is None or len(sources) > 1:
            body["ref_images"] = sources  # for models that were trained to edit; others don't read them
    return body


@dataclass(frozen=True, slots=True)
class Job:
    """One answer about a job. ``status``: queued, generating, completed, failed or cancelled."""

    id: str
    status: str
    queued: int
    """Jobs before it, the running one included."""
    pictures: Sequence[str]
    """In base64."""
    problem: str

    @classmethod
    def of(cls, data: Any) -> Job | None:
        """``None`` for what is no such answer. Its id becomes part of an address."""
        if not isinstance(data, Mapping) or not _is_text(data.get("id")) or not _ID.fullmatch(data["id"]):
            return None
        result, error = data.get("result"), data.get("error")
        images = _listed(result.get("images")) if isinstance(result, Mapping) else []
        pictures = [item["b64_json"] for item in images if isinstance(item, Mapping) and _is_text(item.get("b64_json"))]
        words = (
            [str(error.get(key)) for key in ("code", "message") if error.get(key)] if isinstance(error, Mapping) else []
        )
        position = max(_whole(data.get("queue_position")) or 0, 1) if data.get("status") == "queued" else 0
        return cls(data["id"], str(data.get("status")), position, pictures, ": ".join(words))


@dataclass(frozen=True, slots=True)
class Told:
    """What a picture's own text says of how it was made."""

    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None


def told_by(png: bytes) -> Told:
    text = texts_of(png).get("parameters", "")
    line = text[text.rfind("\nSteps: ") + 1 :] if "\nSteps: " in text else ""
    # What users write stands before it; a prompt with such a line of its own is not the last one.
    line = line.partition(", SDCPP: ")[0]
    seed, steps = _number(line, "Seed"), _number(line, "Steps")
    sampler = re.search(r"(?:^|, )Sampler: ([\w+-]{1,40})", line)
    return Told(
        int(seed) if seed is not None and seed < 2**63 else None,
        int(steps) if steps is not None and steps < 2**31 else None,
        _number(line, "CFG scale"),
        sampler[1] if sampler and sampler[1] != "NONE" else None,
    )


def _number(line: str, name: str) -> float | None:
    found = re.search(rf"(?:^|, ){name}: (\d{{1,20}}(?:\.\d{{1,20}})?)(?:,|$)", line)
    return (float(found[1]) if "." in found[1] else int(found[1])) if found else None


def _of_mode(data: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """By mode in newer servers, for the current mode in earlier ones."""
    modes = data.get(f"{what}_by_mode")
    found = modes.get("img_gen") if isinstance(modes, Mapping) else data.get(what)
    return found if isinstance(found, Mapping) else {}


def _whole(value: Any) -> int | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 < value < 2**31
    return int(value) if fits else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
