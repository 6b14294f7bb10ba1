"""Services made from settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parlant_local.errors import ParlantLocalError
from parlant_local.settings import Settings

if TYPE_CHECKING:
    from lagom import Container

    from parlant_local.backends.base import Backend
    from parlant_local.nlp.service import LocalNLPService

__all__ = ["model_backend", "nlp_service"]


def nlp_service(container: Container, *, settings: Settings | None = None) -> LocalNLPService:
    """For ``p.Server(nlp_service=parlant_local.nlp_service)``: the service that the settings describe.

    It looks at files, but loads nothing and opens no socket: the host calls it on its event loop.
    """
    from parlant_local.backends.llama_cpp.choice import best_model
    from parlant_local.catalog import LocalModelManager
    from parlant_local.nlp.host import configuration_error
    from parlant_local.nlp.llama import LlamaService

    try:
        settings = settings or Settings.load()
        manager = LocalModelManager(settings=settings)
        model = settings.model or best_model(manager)
        return LlamaService(model_manager=manager, model_id=model, settings=settings, container=container)
    except ParlantLocalError as error:
        raise configuration_error(error) from error


def model_backend(settings: Settings) -> tuple[str, Backend]:
    """Id and backend of the agent's model, not loaded yet."""
    from parlant_local.backends.llama_cpp.choice import best_model
    from parlant_local.catalog import LocalModelManager
    from parlant_local.nlp.llama import gguf_backend

    manager = LocalModelManager(settings=settings)
    model = settings.model or best_model(manager)
    return manager.find(model).id, gguf_backend(model, settings, manager)
