"""What makes pictures, by name: this package's own, and those of the entry-point group ``parlant_local.image_backends``."""

from __future__ import annotations

from parlant_local.images.base import ImageBackend
from parlant_local.registry import Registry

__all__ = ["ENDPOINT", "IMAGE_BACKENDS", "IN_PROCESS", "kind_of"]

ENDPOINT = "endpoint"
"""Serves every configured endpoint, and ``openai``."""
IN_PROCESS = "local"
"""Runs catalogued models."""


def _is_image_backend(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, ImageBackend)


IMAGE_BACKENDS: Registry[type[ImageBackend]] = Registry(
    "image backend",
    group="parlant_local.image_backends",
    fits=_is_image_backend,
    wanted="a subclass of parlant_local.images.ImageBackend",
    reserved=frozenset({"openai", IN_PROCESS}),
)
IMAGE_BACKENDS.register(ENDPOINT, "parlant_local.images.endpoint:EndpointImages")


def kind_of(prefix: str) -> type[ImageBackend]:
    """What serves the models below ``prefix``, which is no endpoint's name."""
    return IMAGE_BACKENDS.get(ENDPOINT if prefix == "openai" else prefix)
