"""Ollama's manifests, as its registry and its store have them. Untrusted data: every field is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parlant_local.errors import InvalidModelError, StateFileError
from parlant_local.paths import is_file
from parlant_local.storage import parse_json, read_bytes

__all__ = [
    "MAX_MANIFEST",
    "MAX_TEXT_LAYER",
    "Layer",
    "OllamaManifest",
    "parse_manifest",
    "read_extras",
    "store_manifests",
]

_PREFIX = "application/vnd.ollama.image."
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}\Z")
_MAX_LAYERS = 64
MAX_TEXT_LAYER = 4 << 20
MAX_MANIFEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    kind: str
    """``model``, ``template``, ``params``, ``system``, ``license``, ``projector`` … or a whole media type."""
    digest: str
    """``sha256:`` and 64 hexadecimal digits."""
    size: int

    @property
    def sha256(self) -> str:
        return self.digest.removeprefix("sha256:")

    @property
    def file_name(self) -> str:
        return f"sha256-{self.sha256}"


@dataclass(frozen=True, slots=True)
class OllamaManifest:
    layers: tuple[Layer, ...]
    config: Layer | None

    def of(self, kind: str) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if layer.kind == kind)

    @property
    def model(self) -> Layer:
        """The GGUF; :class:`InvalidModelError` where there is none, or one of a kind that can't run here."""
        models = self.of("model")
        if self.of("adapter"):
            raise InvalidModelError("It is a base model with an adapter, which is not supported.")
        if len(models) != 1:
            kinds = ", ".join(sorted({layer.kind for layer in self.layers})) or "nothing"
            raise InvalidModelError(f"It has {len(models)} GGUF layers instead of one (it holds {kinds}).")
        return models[0]

    @property
    def texts(self) -> tuple[Layer, ...]:
        """Small layers that describe how to use the model."""
        kinds = ("template", "params", "system", "license")
        return tuple(layer for layer in self.layers if layer.kind in kinds and layer.size <= MAX_TEXT_LAYER)


def parse_manifest(data: bytes, what: str) -> OllamaManifest:
    """Raises :class:`InvalidModelError` for anything that is not a manifest, invalid digests included."""
    try:
        document = parse_json(data)
        layers = tuple(_layer(item) for item in document["layers"])
        config = _layer(document["config"]) if document.get("config") else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidModelError(f"{what} is not a manifest: {str(error)[:200]}") from None
    if len(layers) > _MAX_LAYERS:
        raise InvalidModelError(f"{what} has {len(layers)} layers; {_MAX_LAYERS} are allowed.")
    return OllamaManifest(layers, config)


def _layer(item: Any) -> Layer:
    digest, size, kind = item["digest"], item["size"], item["mediaType"]
    if not isinstance(digest, str) or not _DIGEST.match(digest):
        raise ValueError(f"the layer digest {str(digest)[:80]!r} is not sha256 and 64 hexadecimal digits")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"the layer size {size!r} is not a number of bytes")
    if not isinstance(kind, str):
        raise TypeError("a layer has no media type")
    return Layer(kind.removeprefix(_PREFIX), digest, size)


def read_extras(manifest: OllamaManifest, blobs: Path) -> dict[str, Any]:
    """Template, system prompt, parameters and licence that came with a model, as fields of a record."""
    extras: dict[str, Any] = {}
    for layer in manifest.texts:
        try:
            text = read_bytes(blobs / layer.file_name, MAX_TEXT_LAYER).decode("utf-8", "replace")
        except (FileNotFoundError, StateFileError):
            continue  # the model is complete without it
        if layer.kind in ("template", "system"):
            extras[layer.kind] = text
        elif layer.kind == "license":
            extras.setdefault("license", text.strip().splitlines()[0][:120] if text.strip() else None)
        elif layer.kind == "params":
            try:
                parameters = parse_json(text)
            except ValueError:
                continue  # a model without defaults
            if isinstance(parameters, Mapping):
                extras["defaults"] = dict(parameters)
    return extras


def store_manifests(root: Path) -> Iterator[tuple[tuple[str, str, str, str], Path]]:
    """Every manifest in a store: (host, namespace, model, tag) and its file."""
    manifests = root / "manifests"
    for path in sorted(manifests.rglob("*")):
        parts = path.relative_to(manifests).parts
        if len(parts) >= 4 and is_file(path) and not parts[-1].startswith("."):
            yield (parts[0], "/".join(parts[1:-2]), parts[-2], parts[-1]), path
