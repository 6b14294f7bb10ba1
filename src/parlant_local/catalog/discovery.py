"""Models of other programs on this disk: in the Hugging Face cache and in Ollama's store. Read-only, nothing is copied."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from parlant_local.catalog.describe import describe
from parlant_local.catalog.families import model_type
from parlant_local.catalog.hub_cache import cached_files
from parlant_local.catalog.names import local_id
from parlant_local.catalog.ollama_manifest import MAX_MANIFEST, parse_manifest, read_extras, store_manifests
from parlant_local.catalog.quantizations import candidates
from parlant_local.catalog.records import LocalModel, ModelSource, ModelState
from parlant_local.catalog.references import HubReference, OllamaReference
from parlant_local.errors import CatalogError, StateFileError
from parlant_local.gguf_info import read_header, sha256_file
from parlant_local.observability import Logger
from parlant_local.paths import user_path
from parlant_local.storage import read_bytes

__all__ = ["Found", "find_in_hub_cache", "find_in_ollama_stores", "ollama_stores", "verified"]


@dataclass(frozen=True, slots=True)
class Found:
    """A model on disk, its header checked; ``digests`` are the ones in its files' names, to be verified."""

    model: LocalModel
    digests: tuple[str | None, ...]


def ollama_stores() -> list[Path]:
    """Where Ollama keeps models on this machine: OLLAMA_MODELS, the user's, the system service's."""
    given = os.environ.get("OLLAMA_MODELS")
    places = [
        *([user_path(given)] if given else []),
        user_path("~/.ollama/models"),
        Path("/usr/share/ollama/.ollama/models"),
        Path("/var/lib/ollama/.ollama/models"),
    ]
    return [place for place in dict.fromkeys(places) if os.access(place / "manifests", os.R_OK | os.X_OK)]


def find_in_hub_cache(cache: Path, logger: Logger) -> Iterator[Found]:
    by_snapshot: dict[tuple[str, str], dict[str, tuple[Path, str | None]]] = {}
    for item in cached_files(cache):
        by_snapshot.setdefault((item.repo, item.commit), {})[item.file] = (item.path, item.digest)
    for (repo, commit), files in by_snapshot.items():
        found, problems = candidates({file: path.stat().st_size for file, (path, _) in files.items()})
        for problem in problems:
            logger.warning(f"In the cache of {repo}: {problem}; skipped.")
        for candidate in found:
            path = files[candidate.files[0]][0]
            try:
                model = describe(path, source=ModelSource.HUGGINGFACE, name=candidate.stem)
                family = model_type(read_header(path), f"{candidate.stem} {repo}")
            except CatalogError as error:
                logger.warning(f"{repo} in the cache: {error}")
                continue
            references = [HubReference(repo, None, candidate.files[0])]
            if candidate.quantization:
                references.append(HubReference(repo, candidate.quantization))
            model = model.having(
                type=family,
                id=local_id(family, candidate.stem),
                references=tuple(str(reference) for reference in references),
                revision=commit,
            )
            yield Found(model, tuple(files[file][1] for file in candidate.files))


def find_in_ollama_stores(stores: Iterable[Path], logger: Logger) -> Iterator[Found]:
    for store in stores:
        for (host, namespace, name, tag), path in store_manifests(store):
            reference = OllamaReference(host.replace("+", ":"), namespace, name, tag)
            try:
                manifest = parse_manifest(read_bytes(path, MAX_MANIFEST), f"The manifest {path}")
                blob = store / "blobs" / manifest.model.file_name
                model = describe(blob, source=ModelSource.OLLAMA, name=name if tag == "latest" else f"{name}-{tag}")
                family = model_type(read_header(blob), f"{namespace}/{name}")
            except (CatalogError, StateFileError, OSError) as error:
                logger.warning(f"{reference.short} in {store}: {error}")
                continue
            extras = read_extras(manifest, store / "blobs")
            model = model.having(type=family, id=local_id(family, model.name), references=(str(reference),), **extras)
            yield Found(model, (manifest.model.sha256,))


def verified(found: Found) -> LocalModel:
    """Its record with every file hashed; broken where a digest does not match the file's name."""
    files = []
    for item, promised in zip(found.model.files, found.digests, strict=True):
        digest = sha256_file(item.path)
        if promised is not None and digest != promised:
            return found.model.having(
                state=ModelState.BROKEN, reason=f"{item.path} has the sha256 {digest[:12]}… instead of {promised[:12]}…"
            )
        files.append(type(item)(item.path, item.size, digest, item.mtime_ns))
    return found.model.having(files=tuple(files), vouched=all(found.digests))
