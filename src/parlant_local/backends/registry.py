"""Backends by name."""

from __future__ import annotations

from typing import Any

from parlant_local.backends.base import Backend
from parlant_local.registry import Registry

__all__ = ["BACKENDS", "create_backend"]

BACKENDS: Registry[Backend] = Registry("backend")
BACKENDS.register("llamacpp", "parlant_local.backends.llama_cpp:LlamaCppBackend")
BACKENDS.register("ollama", "parlant_local.backends.ollama:OllamaBackend")
BACKENDS.register("openai", "parlant_local.backends.openai:OpenAIBackend")


def create_backend(name: str, **arguments: Any) -> Backend:
    """``create_backend("llamacpp", model_path=…)``; an unknown name is an error that lists the known ones."""
    return BACKENDS.get(name)(**arguments)
