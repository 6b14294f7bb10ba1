"""Runs GGUF models in this process, and serves many structured calls concurrently. docs/engine.md has the life of a request."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parlant_local.engine.embedding import Embeddings as Embeddings
    from parlant_local.engine.embedding import Reranking as Reranking
    from parlant_local.engine.engine import LlamaEngine as LlamaEngine
    from parlant_local.engine.model import LoadedModel as LoadedModel
    from parlant_local.engine.stats import EngineStats as EngineStats

_MODULES = {
    "Embeddings": "parlant_local.engine.embedding",
    "EngineStats": "parlant_local.engine.stats",
    "LlamaEngine": "parlant_local.engine.engine",
    "LoadedModel": "parlant_local.engine.model",
    "Reranking": "parlant_local.engine.embedding",
}

__all__ = ["Embeddings", "EngineStats", "LlamaEngine", "LoadedModel", "Reranking"]


def __getattr__(name: str) -> Any:
    if (module := _MODULES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
