"""GGUF models in this process, run by the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from parlant_local.catalog import LocalModelManager
from parlant_local.errors import ConfigurationError
from parlant_local.nlp.collaborators import Collaborators, gguf_backend
from parlant_local.nlp.embedder_choice import LEXICAL
from parlant_local.nlp.service import LocalNLPService
from parlant_local.settings import Settings

__all__ = ["LlamaService", "gguf_backend"]


class LlamaService(LocalNLPService):
    """``LlamaService(model_manager=manager, model_id="local/llama/…")``, or ``LlamaService(model_path="model.gguf")``.

    The embedding and guard models that the settings name are GGUFs too. The rest is :class:`LocalNLPService`'s. An id
    that the manager does not know raises :class:`~parlant_local.errors.ModelNotFoundError`, which names near misses.
    """

    def __init__(
        self,
        *,
        model_manager: LocalModelManager | None = None,
        model_id: str | None = None,
        model_path: str | Path | None = None,
        settings: Settings | None = None,
        **collaborators: Unpack[Collaborators],
    ) -> None:
        settings = settings or Settings()
        reference = model_path or model_id
        if reference is None:
            raise ConfigurationError(f"{type(self).__name__} needs a model_id or a model_path.")
        manager = model_manager or LocalModelManager(settings=settings)
        embedding = settings.embedding.model
        if embedding and embedding != LEXICAL and collaborators.get("embedding_backend") is None:
            collaborators["embedding_backend"] = gguf_backend(embedding, settings, manager)
        if settings.moderation.model and collaborators.get("guard_backend") is None:
            collaborators["guard_backend"] = gguf_backend(settings.moderation.model, settings, manager)
        super().__init__(
            gguf_backend(reference, settings, manager), manager=manager, settings=settings, **collaborators
        )
