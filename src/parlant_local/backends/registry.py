"""Backends by name: this package's own, and those of the entry-point group ``parlant_local.backends``."""

from __future__ import annotations

from typing import Any

from parlant_local.backends.base import Backend
from parlant_local.registry import Registry

__all__ = ["BACKENDS", "FOR_CLIENTS", "IN_PROCESS", "create_backend"]

IN_PROCESS = "llamacpp"
"""The backend that runs catalogued models."""
FOR_CLIENTS = frozenset({"ollama", "openai"})
"""Those among whose models a client of the server may choose freely. Of a plug-in it may use what the owner's settings name:
what else a name might open there is unknown."""


def _is_backend(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Backend)


BACKENDS: Registry[type[Backend]] = Registry(
    "backend",
    group="parlant_local.backends",
    fits=_is_backend,
    wanted="a subclass of parlant_local.backends.Backend",
    reserved=frozenset({"local"}),
)
BACKENDS.register(IN_PROCESS, "parlant_local.backends.llama_cpp:LlamaCppBackend")
BACKENDS.register("ollama", "parlant_local.backends.ollama:OllamaBackend")
BACKENDS.register("openai", "parlant_local.backends.openai:OpenAIBackend")


def create_backend(name: str, **arguments: Any) -> Backend:
    """``create_backend("llamacpp", model_path=…)``; an unknown name is an error that lists the known ones."""
    return BACKENDS.get(name)(**arguments)
