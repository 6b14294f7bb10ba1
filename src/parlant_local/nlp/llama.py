"""Llama and every other GGUF model, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlant_local.backends.registry import create_backend
from parlant_local.errors import ConfigurationError
from parlant_local.nlp.service import LocalNLPService
from parlant_local.settings import Settings

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModelManager

__all__ = ["LlamaService"]


class LlamaService(LocalNLPService):
    """``LlamaService(model_manager=manager, model_id="local/llama/…")``, or ``LlamaService(model_path="model.gguf")``.

    The rest is :class:`LocalNLPService`'s. An id that the manager does not know raises
    :class:`~parlant_local.errors.ModelNotFoundError`, which names near misses.
    """

    def __init__(
        self,
        *,
        model_manager: LocalModelManager | None = None,
        model_id: str | None = None,
        model_path: str | Path | None = None,
        settings: Settings | None = None,
        **collaborators: Any,
    ) -> None:
        settings = settings or Settings.load()
        if model_path is None:
            if model_manager is None or model_id is None:
                raise ConfigurationError(
                    f"{type(self).__name__} needs a model_manager with a model_id, or a model_path."
                )
            model = model_manager.get_model(model_id)
            model_path, model_id = model.path, model.id
        backend = create_backend("llamacpp", model_path=model_path, model_id=model_id, settings=settings)
        super().__init__(backend, settings=settings, **collaborators)
