"""The files of a model that makes pictures on this machine: found, and checked before a library reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.references import looks_like_path
from parlant_local.catalog.weights import PICKLED, read_safe_tensors
from parlant_local.errors import InvalidModelError, ModelNotFoundError
from parlant_local.gguf_info import read_header
from parlant_local.gguf_info.diffusion import DIFFUSION_ARCHITECTURES, diffusion_architecture
from parlant_local.paths import is_file, user_path
from parlant_local.settings.images import ImageModelSettings

__all__ = ["ModelFiles", "find_files"]

_COMPANIONS = ("vae", "taesd", "clip_l", "clip_g", "t5xxl", "llm")
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_WHOLE = ("first_stage_model.", "vae.", "cond_stage_model.", "conditioner.", "text_encoders.")
_ENCODERS = ("encoder.", "conv1.")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Checked files of one model."""

    options: Mapping[str, str]
    """The library's name of each, and its path."""
    architecture: str
    weights: int
    """Bytes in memory."""
    encodes: bool
    """Whether it has what reads a picture, so that it can start from one."""
    tiny_decoder: bool
    for_edits: bool
    """Whether it looks at pictures to start from, by its name or architecture, rather than drawing them anew."""


@dataclass(frozen=True, slots=True)
class _Tensors:
    shapes: Mapping[str, tuple[int, ...]]
    """A matrix's input width first."""
    bytes: int
    declared: str | None = None


def find_files(name: str, settings: ImageModelSettings, manager: LocalModelManager) -> ModelFiles:
    """Reads the headers, nothing else. Raises what :class:`LocalModelManager` raises, and :class:`InvalidModelError`."""
    path = _place(settings.path or name, manager, name)
    model = _tensors(path)
    architecture = diffusion_architecture(model.shapes) or model.declared
    if architecture is None:
        raise InvalidModelError(
            f"{path} makes no pictures.", hint=f"images.models.{name}.path expects a checkpoint or a diffusion model."
        )
    companions = {
        key: _place(place, manager, name) for key in _COMPANIONS if (place := getattr(settings, key)) is not None
    }
    read = {key: _tensors(place) for key, place in companions.items()}
    whole = any(part.startswith(_WHOLE) or "diffusion_model." in part for part in model.shapes)
    decoder = read.get("taesd") or read.get("vae") or model
    return ModelFiles(
        options={"model_path" if whole else "diffusion_model_path": str(path)}
        | {f"{key}_path": str(place) for key, place in companions.items()},
        architecture=architecture,
        weights=reduce(lambda total, tensors: total + tensors.bytes, read.values(), model.bytes),
        encodes=any(_encodes(part, alone=decoder is not model) for part in decoder.shapes),
        tiny_decoder="taesd" in read,
        for_edits=architecture == "flux2" or any(word in path.name.lower() for word in ("kontext", "edit")),
    )


def _encodes(tensor: str, *, alone: bool) -> bool:
    if alone:
        return tensor.removeprefix("first_stage_model.").removeprefix("vae.").startswith(_ENCODERS)
    return "first_stage_model.encoder." in tensor or tensor.startswith("vae.encoder.")


def _place(given: str, manager: LocalModelManager, name: str) -> Path:
    """A path (within the home where it is relative), or the file of a catalogued model."""
    at_home = manager.settings.home / given
    if not looks_like_path(given):
        return at_home if is_file(at_home) else manager.resolve(given)
    if not is_file(path := user_path(given)):
        raise ModelNotFoundError(f"{path} does not exist.", hint=f"It is named by images.models.{name}.")
    return path.absolute()


def _tensors(path: Path) -> _Tensors:
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix.lower() in PICKLED or start.startswith(_PICKLE_STARTS):
        raise InvalidModelError(
            f"{path} is a pickle: a program, not only data, which could do anything here.",
            hint="Use the model's .safetensors or .gguf file.",
        )
    if start == b"GGUF":
        header = read_header(path)
        shapes = {tensor.name: tensor.shape for tensor in header.tensors}
        declared = header.architecture if header.architecture in DIFFUSION_ARCHITECTURES else None
        return _Tensors(shapes, header.weights_bytes, declared)
    read = read_safe_tensors(path)
    return _Tensors(read.shapes, read.loaded_bytes)
