"""What the catalogue knows about a model that is not loaded."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from parlant_local.backends.base import ModelInfo
from parlant_local.gguf_info import sha256_file
from parlant_local.paths import user_path

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel
    from parlant_local.settings import EngineSettings

__all__ = ["digest_of", "info_of_record"]


def info_of_record(record: LocalModel, *, id: str | None = None, digest: str | None = None) -> ModelInfo:
    """Capabilities stay empty where the record does not list them. ``id`` and ``digest``: those of a model with adapters, which has
    not the digest of its file."""
    alone = id is None or id == record.id
    return ModelInfo(
        id=id or record.id,
        name=record.name,
        architecture=record.architecture,
        family=str(record.type),
        parameters=record.parameters,
        quantization=record.quantization,
        n_ctx_train=record.context_length,
        embedding_length=record.embedding_length,
        pooling=record.pooling,
        digest=digest or (record.sha256 if alone else None),
        path=record.path,
        capabilities=frozenset({"embed", "rerank"}) if record.is_embedding else frozenset(),
    )


def digest_of(record: LocalModel, settings: EngineSettings) -> str | None:
    """What tells its answers and vectors from another model's: its file's digest, or that with what adapters and control vectors
    add to it, whose files are hashed. None where it has no file, or that was never hashed."""
    added = [("adapter", *item) for item in sorted(settings.lora.items())]
    added += [("control", *item) for item in sorted(settings.control_vectors.items())]
    if not added or record.path is None:
        return record.sha256
    told: list[object] = [record.sha256 or _digest(record.path), settings.control_vector_layers]
    told += [(kind, _digest(user_path(path)), scale) for kind, path, scale in added]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _digest(path: Path) -> str:
    try:
        status = path.stat()
        return _digest_as_it_is(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        return f"{path}: {error.strerror}"  # loading it raises


@lru_cache(maxsize=64)
def _digest_as_it_is(path: Path, _size: int, _stamp: int) -> str:
    return sha256_file(path)
