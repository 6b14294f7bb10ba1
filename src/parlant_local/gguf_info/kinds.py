"""Checks that a file is of the expected kind."""

from __future__ import annotations

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info.header import GGUFHeader

__all__ = ["MAKES_PICTURES", "check_is_adapter", "check_is_model", "check_is_projector", "senses_of"]

MAKES_PICTURES = 'Make pictures with it: `parlant-local image "a red fox" --model NAME`.'

_NOT_MODELS = {
    "diffusion": "makes pictures; it neither chats nor embeds",
    "vocab": "holds a vocabulary only, no weights",
    "mmproj": "is a vision projector, which belongs to another model",
    "imatrix": "is an importance matrix for quantizing",
    "adapter": "is a LoRA adapter; give it to a model as engine.lora",
    "controlvector": "is a control vector; give it to a model as engine.control_vectors",
}


def check_is_model(header: GGUFHeader, *, vocabulary_only: bool = False) -> None:
    """Raises :class:`InvalidModelError`, saying what it is instead. ``vocabulary_only``: a bare vocabulary is accepted."""
    why = _NOT_MODELS.get(header.kind)
    if why is not None and not (vocabulary_only and header.kind == "vocab"):
        raise InvalidModelError(f"{header.path} {why}.", hint=MAKES_PICTURES if header.kind == "diffusion" else "")


def check_is_projector(header: GGUFHeader) -> None:
    if header.kind != "mmproj":
        raise InvalidModelError(
            f"{header.path} is not a projector.", hint="engine.projector expects the mmproj file of the model."
        )


def senses_of(projector: GGUFHeader) -> tuple[str, ...]:
    """What a projector reads: ``vision``, ``audio``."""
    return tuple(sense for sense in ("vision", "audio") if projector.metadata.get(f"clip.has_{sense}_encoder") is True)


def check_is_adapter(header: GGUFHeader) -> None:
    if header.kind != "adapter":
        raise InvalidModelError(
            f"{header.path} is not a LoRA adapter.",
            hint="engine.lora expects GGUF files that were converted as adapters.",
        )
