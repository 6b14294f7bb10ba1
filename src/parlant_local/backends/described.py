"""What the catalogue knows about a model that is not loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parlant_local.backends.base import ModelInfo

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel

__all__ = ["info_of_record"]


def info_of_record(record: LocalModel) -> ModelInfo:
    """Capabilities stay empty where the record does not list them."""
    return ModelInfo(
        id=record.id,
        name=record.name,
        architecture=record.architecture,
        family=str(record.type),
        parameters=record.parameters,
        quantization=record.quantization,
        n_ctx_train=record.context_length,
        embedding_length=record.embedding_length,
        pooling=record.pooling,
        digest=record.sha256,
        path=record.path,
        capabilities=frozenset({"embed", "rerank"}) if record.is_embedding else frozenset(),
    )
